"""The tokenizer: nothing is lost, coordinates are single tokens, and samples are what the policy will see."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from graphs.conversation import Text, Turn
from graphs.dialects.seg_research import answer_turn
from graphs.policies.chatml import ChatML
from graphs.profiles import get_profile
from rl.sft.samples import Pictures, Sample, said, tokenise
from rl.sft.tokenizer import CHAT_TEMPLATE, NUMBERS, PHRASES, SPECIAL, token_id
from rl.sft.trajectories import Library, draw_trajectory
from rl.sft.vocabulary import sample_texts


@pytest.fixture(scope="module")
def tokenizer(tiny_policy: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_policy / "tokenizer.json"))


def encode_with(tokenizer: Tokenizer):
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def test_texts_come_back_as_they_were(tokenizer: Tokenizer) -> None:
    encode = encode_with(tokenizer)
    odd = ["Ünïcodé ☃ 你好\n\t x", "  two  spaces ", "2031 203 1 1000 1001 0007", "[12, 7], \n", "a,b , c"]
    texts = [*sample_texts(5, worlds=1, per_world=4), *odd]
    assert len(texts) > 100
    for text in texts:
        assert tokenizer.decode(encode(text), skip_special_tokens=False) == text


def test_transformers_reads_the_same_tokenizer(tokenizer: Tokenizer, tiny_policy: Path) -> None:
    auto = AutoTokenizer.from_pretrained(tiny_policy)
    for text in [*sample_texts(6, worlds=1, per_world=1)][:60]:
        ids = encode_with(tokenizer)(text)
        assert list(auto.encode(text, add_special_tokens=False)) == ids
        assert auto.decode(ids) == text


def test_phrases_numbers_and_special_tokens_are_whole(tokenizer: Tokenizer) -> None:
    encode = encode_with(tokenizer)
    for token in (*SPECIAL, *PHRASES):
        assert encode(token) == [token_id(tokenizer, token)]
    coordinates = [0, 7, 66, 999, 1000, 512]
    ids = encode(answer_turn("x", (0.0, 0.007, 0.066, 0.999), (1.0, 0.512)))
    spelled = [token_id(tokenizer, str(c)) for c in coordinates]
    assert [i for i in ids if i in {token_id(tokenizer, n) for n in NUMBERS}] == spelled
    parts = {token_id(tokenizer, n) for n in ("203", "20", "31")}  # single digits may spell a year
    assert not set(encode("the 2031 Helsa Cup")) & parts
    assert encode("frame 10.")[-2:] == [token_id(tokenizer, "10"), *encode(".")]
    with pytest.raises(KeyError):
        token_id(tokenizer, "no such token")


def sample(tokenizer: Tokenizer, seed: int) -> tuple[list[Turn], Pictures, Sample, ChatML]:
    encode = encode_with(tokenizer)
    chatml = ChatML(encode)
    library = Library.draw(4, 40)
    turns, pictures = draw_trajectory(np.random.default_rng(seed), library, get_profile("embedded").make_dialect())
    return turns, pictures, tokenise(chatml, encode, turns, pictures), chatml


def test_nothing_is_trained_but_what_the_policy_says(tokenizer: Tokenizer) -> None:
    for seed in range(8):
        turns, _, made, chatml = sample(tokenizer, seed)
        trained = made.ids[made.trained]
        spoken = [turn.text for turn in turns if turn.role == "assistant"]
        assert tokenizer.decode(trained, skip_special_tokens=False) == "".join(f"{t}<|im_end|>" for t in spoken)
        starts = np.flatnonzero(made.trained & ~np.roll(made.trained, 1))
        header = chatml._encode("<|im_start|>assistant\n")
        for start in starts:
            assert list(made.ids[start - len(header) : start]) == header


def test_a_sample_has_the_ids_that_the_policy_is_fed(tokenizer: Tokenizer) -> None:
    for seed in range(8):
        turns, pictures, made, chatml = sample(tokenizer, seed)
        encode = encode_with(tokenizer)
        # Sampling stops at the closing tag of an action; the end of turn is added when the conversation goes on.
        heard = [Turn(t.role, (Text(t.text),), tuple(encode(t.text))) if t.role == "assistant" else t for t in turns]
        assert tuple(made.ids) == chatml.encode(heard, open_reply=False).ids
        assert (made.ids == chatml.image_pad).sum() == sum((i.shape[0] // 32) ** 2 for i in made.images)
        assert len(made.images) == len(pictures.images)
        assert made.positions.shape == (3, len(made.ids))


def test_the_chat_template_spells_the_same_text(tiny_policy: Path) -> None:
    auto = AutoTokenizer.from_pretrained(tiny_policy)
    assert auto.chat_template == CHAT_TEMPLATE
    image = Pictures().put(np.zeros((32, 32, 3), np.uint8))
    turns = [said("system", "S"), said("user", "frame 0 ", image, "\n\nQ"), said("assistant", "A"), said("user", "B")]
    messages = [
        {
            "role": t.role,
            "content": [
                {"type": "text", "text": p.text} if isinstance(p, Text) else {"type": "image"} for p in t.parts
            ],
        }
        for t in turns
    ]
    chatml = ChatML(lambda text: list(auto.encode(text, add_special_tokens=False)))
    text = auto.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert tuple(auto.encode(text, add_special_tokens=False)) == chatml.encode(turns).ids  # one token: one cell
