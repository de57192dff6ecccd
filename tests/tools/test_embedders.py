import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.embedders import load_embedder
from tools.embedders.hashing import HashingEmbedder
from tools.embedders.words import fold, words
from tools.errors import InputError

texts = st.lists(st.text(max_size=40), max_size=8)
HASHING = HashingEmbedder()


def cosine(left: str, right: str) -> float:
    vectors = HASHING.embed_passages([left, right])
    return float(vectors[0] @ vectors[1])


@given(texts)
def test_hashing_gives_unit_rows_and_zero_rows_for_texts_without_words(batch: list[str]) -> None:
    vectors = HASHING.embed_passages(batch)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(batch), HASHING.dimension)
    lengths = np.linalg.norm(vectors, axis=1)
    expected = [1.0 if words(text) else 0.0 for text in batch]
    assert lengths == pytest.approx(expected, abs=1e-5)


@given(texts)
def test_a_text_is_embedded_the_same_alone_and_in_any_company(batch: list[str]) -> None:
    together = HASHING.embed_passages(batch)
    for text, row in zip(batch, together, strict=True):
        np.testing.assert_array_equal(HASHING.embed_queries([text])[0], row)


@given(st.text(max_size=60))
def test_case_never_matters(text: str) -> None:
    assert words(text.upper().lower()) == words(text.lower().upper().lower())
    assert words(fold(text)) == words(text)


def test_hashing_is_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "import zlib; from tools.embedders.hashing import HashingEmbedder;"
        "print(zlib.crc32(HashingEmbedder().embed_passages(['Torvik Rovers, Årsta 2031', 'the cup']).tobytes()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_near_spellings_are_near_and_strangers_are_not() -> None:
    assert cosine("Torvik Rovers", "torvik   ROVERS!") == pytest.approx(1)
    assert cosine("Torvik Rovers", "Torvek Rovers") > cosine("Torvik Rovers", "Helsa Foxes") + 0.3
    assert cosine("Torvik Rovers", "Torvik Rovers FC") > cosine("Torvik Rovers", "Rovers FC")
    assert cosine("the man bit the dog", "the dog bit the man") < 1
    assert cosine("Janelle Monáe", "janelle monae") == pytest.approx(1)


def test_strangers_stay_below_chance() -> None:
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(400)]
    vectors = HASHING.embed_passages(names)
    likeness = np.abs((vectors @ vectors.T)[np.triu_indices(len(names), 1)])
    assert np.mean(likeness < HASHING.chance) > 0.995


def test_repetition_counts_less_and_less() -> None:
    once, often = cosine("cup rovers", "cup"), cosine("cup " * 50 + "rovers", "cup")
    assert once < often < 0.99


def test_hashing_takes_thousands_of_short_texts_a_second() -> None:
    names = [f"Record {i} of the Torv{i % 97}ik Rovers who won the {2000 + i % 40} Helsa Cup" for i in range(3000)]
    started = time.process_time()
    HashingEmbedder().embed_passages(names)
    assert time.process_time() - started < 1.5  # about 0.1 s on one idle core


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [f"Torvik {i}" for i in range(7)] + ["", "Helsa"]
    whole = HASHING.embed_passages(batch)
    monkeypatch.setattr("tools.embedders.hashing._CHUNK", 3)
    np.testing.assert_array_equal(HASHING.embed_passages(batch), whole)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["Cs", "Lo", "So", "Mn"]), max_size=30))
def test_odd_characters_are_survived(text: str) -> None:
    assert np.isfinite(HASHING.embed_queries([text])).all()


def test_a_forgotten_spelling_is_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.embedders.hashing._CACHED_WORDS", 3)
    small = HashingEmbedder()
    batch = ["one two three four five six", "six five", "one"]
    np.testing.assert_array_equal(small.embed_passages(batch), HASHING.embed_passages(batch))
    assert len(small._spellings) <= 3


def test_words_fold_accents_width_and_unspaced_scripts() -> None:
    assert words("São-Paulo's W16 ＣＵＰ straße_x") == ["sao", "paulo", "s", "w16", "cup", "strasse", "x"]
    assert words("東京 tower") == ["東", "京", "tower"]
    assert words(" …!? ") == []


def test_embedders_load_by_name_once() -> None:
    assert load_embedder("hashing").name == "hashing"
    assert load_embedder("hashing") is load_embedder("hashing")


@pytest.mark.parametrize("name", ["", "bert", "hashing:/tmp", "E5"])
def test_unknown_embedders_are_refused_with_the_choice(name: str) -> None:
    with pytest.raises(InputError, match="minilm"):
        load_embedder(name)


def test_the_default_embedder_does_not_load_torch() -> None:
    program = (
        "import sys; from tools.knowledge import KnowledgeBase; KnowledgeBase.from_records([]);"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
