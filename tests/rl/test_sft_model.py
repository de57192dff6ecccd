"""The fast forward pass against transformers' own, through the real collation, with pictures of several sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_policy import noise
from tokenizers import Tokenizer
from transformers import Qwen3VLForConditionalGeneration

from graphs.policies.chatml import ChatML
from graphs.policies.vision import patchify
from rl.sft.batches import Batch, Shape, collate
from rl.sft.model import FastPolicy
from rl.sft.samples import Pictures, Sample, said, tokenise
from rl.sft.tokenizer import token_id

SHAPE = Shape(rows=4, length=120, trained=40, slots={96: 3, 64: 5, 32: 2})


@pytest.fixture(scope="module")
def tokenizer(tiny_policy: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_policy / "tokenizer.json"))


def samples(tokenizer: Tokenizer) -> list[Sample]:
    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    made = []
    for number, sides in enumerate(((64, 96, 64), (32,), (), (96, 64, 32))):
        pictures = Pictures()
        parts = [
            part for i, side in enumerate(sides) for part in (f"frame {i} ", pictures.put(noise(9 * number + i, side)))
        ]
        turns = [
            said("system", "Find it."),
            said("user", *parts, "?"),
            said("assistant", f"It is {number}, at [7, 8]."),
        ]
        turns += [said("user", "And?"), said("assistant", "No.")]
        made.append(tokenise(ChatML(encode), encode, turns, pictures))
    return made


def batch_of(tokenizer: Tokenizer, shape: Shape = SHAPE) -> Batch:
    pad, image = token_id(tokenizer, "<|endoftext|>"), token_id(tokenizer, "<|image_pad|>")
    return collate(samples(tokenizer), shape, pad, image).to(torch.device("cpu"))


def fast_logits(model: Qwen3VLForConditionalGeneration, batch: Batch) -> torch.Tensor:
    fast = FastPolicy(model)
    encoded = [fast.encode_pictures(images) for images in batch.images.values()]
    pictures = [torch.cat(layer) for layer in zip(*encoded, strict=True)]
    return model.lm_head(fast.hidden(batch.ids, batch.positions, batch.place, pictures))


def test_the_fast_pass_equals_transformers(tokenizer: Tokenizer, tiny_policy: Path) -> None:
    model = Qwen3VLForConditionalGeneration.from_pretrained(tiny_policy, dtype=torch.float32).eval()
    batch = batch_of(tokenizer)
    with torch.inference_mode():
        ours = fast_logits(model, batch)
        for row, sample in enumerate(samples(tokenizer)):
            ids = torch.from_numpy(sample.ids.astype(np.int64))[None]
            pictures = {}
            if sample.images:
                sides = [image.shape[0] // 16 for image in sample.images]
                pictures = {
                    "pixel_values": torch.cat([patchify(image) for image in sample.images]),
                    "image_grid_thw": torch.tensor([[1, side, side] for side in sides]),
                    "mm_token_type_ids": (ids == token_id(tokenizer, "<|image_pad|>")).int(),
                }
            theirs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **pictures)
            assert theirs.logits[0].std() > 0.1
            assert torch.allclose(ours[row, : ids.shape[1]], theirs.logits[0], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter_that_pictures_and_text_use(tokenizer: Tokenizer, tiny_policy: Path) -> None:
    model = Qwen3VLForConditionalGeneration.from_pretrained(tiny_policy, dtype=torch.float32)
    fast_logits(model, batch_of(tokenizer)).square().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without
    still = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    # A bias of keys shifts all scores of a query alike: attention cannot notice it.
    assert not still


def test_collation_puts_everything_where_it_belongs(tokenizer: Tokenizer) -> None:
    batch, made = batch_of(tokenizer), samples(tokenizer)
    nowhere = SHAPE.rows * SHAPE.length
    image = token_id(tokenizer, "<|image_pad|>")
    placed = batch.place[batch.place < nowhere]
    assert len(set(placed.tolist())) == len(placed) == (batch.ids == image).sum()
    assert (batch.ids.flatten()[placed] == image).all()
    first, used = {96: 0, 64: 27, 32: 47}, dict.fromkeys((96, 64, 32), 0)
    for row, sample in enumerate(made):
        length = len(sample.ids)
        assert batch.ids[row, :length].tolist() == sample.ids.tolist()
        assert (batch.ids[row, length:] == token_id(tokenizer, "<|endoftext|>")).all()
        assert torch.equal(batch.positions[:, row, :length], torch.from_numpy(sample.positions))
        at = np.flatnonzero(sample.ids == image) + row * SHAPE.length
        for picture in sample.images:
            side, tokens = picture.shape[0], (picture.shape[0] // 32) ** 2
            assert np.array_equal(batch.images[side][used[side]], picture)
            start = first[side] + used[side] * tokens
            assert batch.place[start : start + tokens].tolist() == at[:tokens].tolist()
            at, used[side] = at[tokens:], used[side] + 1


def test_collation_trains_on_policy_tokens_alone(tokenizer: Tokenizer) -> None:
    batch = batch_of(tokenizer)
    for row, sample in enumerate(samples(tokenizer)):
        given = batch.targets[row] >= 0
        assert batch.targets[row][given].tolist() == sample.ids[sample.trained].tolist()
        assert (batch.at[row][given] + 1).tolist() == np.flatnonzero(sample.trained).tolist()
        text = tokenizer.decode(batch.targets[row][given].tolist(), skip_special_tokens=False)
        assert text == f"It is {row}, at [7, 8].<|im_end|>No.<|im_end|>"


@pytest.mark.parametrize(
    "shape",
    [
        Shape(4, 60, 40, {96: 3, 64: 5, 32: 2}),
        Shape(4, 120, 12, {96: 3, 64: 5, 32: 2}),
        Shape(4, 120, 40, {96: 1, 64: 2, 32: 2}),
    ],
)
def test_what_does_not_fit_leaves_its_row_empty(tokenizer: Tokenizer, shape: Shape) -> None:
    batch = batch_of(tokenizer, shape)
    pad = token_id(tokenizer, "<|endoftext|>")
    empty = [bool((row == pad).all()) for row in batch.ids]
    assert any(empty)
    for row, nothing in enumerate(empty):
        assert nothing == bool((batch.targets[row] < 0).all())
    assert (batch.place[batch.place < 4 * shape.length] // shape.length).unique().tolist() == sorted(
        {row for row in (0, 1, 3) if not empty[row]}
    )
