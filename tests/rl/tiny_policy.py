"""A policy of the embedded architecture with random weights, small enough for tests, and conversations to run it on."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from graphs.conversation import ImageRef, Text, Turn
from rl.sft.model import PolicySize, make_policy
from rl.sft.tokenizer import SPECIAL, save_tokenizer, train_tokenizer
from rl.sft.vocabulary import sample_texts
from tools.image_store import Image, ImageStore

VOCABULARY = 1700
SIZE = PolicySize(
    hidden=128,
    layers=3,
    heads=2,
    key_value_heads=1,
    feed_forward=96,
    vision_hidden=48,
    vision_layers=3,
    vision_heads=2,
    vision_feed_forward=64,
    deepstack=(0, 1),
)


def write_policy(folder: Path) -> Path:
    """Write tokenizer, configuration and random weights as training does; weights large enough to tell tokens apart."""
    save_tokenizer(train_tokenizer(sample_texts(0, worlds=1, per_world=12), VOCABULARY), folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = make_policy(SIZE, {t: tokenizer.token_to_id(t) for t in SPECIAL}, VOCABULARY, 3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0 if "embed_tokens" not in name else 8.0)
    model.save_pretrained(folder)
    return folder


def noise(seed: int, side: int) -> Image:
    """A picture of noise, uint8 (side, side, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def said(images: ImageStore, role: str, *parts: str | Image) -> Turn:
    """A turn of texts and pictures, the pictures stored."""
    made = [Text(p) if isinstance(p, str) else ImageRef(images.put(p), p.shape[1], p.shape[0]) for p in parts]
    return Turn(role, tuple(made))  # type: ignore[arg-type]


def read_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """All weights of a checkpoint, by name."""
    weights: dict[str, torch.Tensor] = {}
    for file in checkpoint.glob("*.safetensors"):
        weights |= load_file(file)
    assert weights
    return weights
