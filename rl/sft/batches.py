"""Lay samples out in batches of fixed shape, rendered by worker processes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rl.sft.samples import Sample

_CELL = 32
"""Side in pixels of the square that one picture token covers."""


@dataclass(frozen=True)
class Shape:
    """The fixed shape of a batch: rows, tokens a row, trained tokens a row, and picture slots by side in pixels."""

    rows: int
    length: int
    trained: int
    slots: Mapping[int, int]


@dataclass
class Batch:
    """Tensors of one batch.

    ids int64 (rows, length), positions int64 (3, rows, length) and place int64 (picture tokens,), as
    `FastPolicy.hidden` wants them; images: uint8 (slots, side, side, 3) by side; at int64 (rows, trained): where a
    trained token is predicted from; targets int64 (rows, trained): the token, -1 for none.
    """

    ids: Tensor
    positions: Tensor
    place: Tensor
    images: dict[int, Tensor]
    at: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Move to a device, asynchronously when pinned."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return Batch(
            move(self.ids).long(),
            move(self.positions).long(),
            move(self.place).long(),
            {side: move(images) for side, images in self.images.items()},
            move(self.at).long(),
            move(self.targets).long(),
        )

    def pin_memory(self) -> "Batch":
        """Pin every tensor, as DataLoader asks."""
        return Batch(
            self.ids.pin_memory(),
            self.positions.pin_memory(),
            self.place.pin_memory(),
            {side: images.pin_memory() for side, images in self.images.items()},
            self.at.pin_memory(),
            self.targets.pin_memory(),
        )


def collate(samples: Sequence[Sample], shape: Shape, pad: int, image_pad: int) -> Batch:
    """Lay samples out; a sample that does not fit (too long, or no picture slot left) leaves its row empty."""
    batch = Batch(
        torch.full((shape.rows, shape.length), pad, dtype=torch.int32),
        torch.zeros((3, shape.rows, shape.length), dtype=torch.int32),
        torch.full((_tokens(shape),), shape.rows * shape.length, dtype=torch.int32),
        {side: torch.zeros((count, side, side, 3), dtype=torch.uint8) for side, count in shape.slots.items()},
        torch.zeros((shape.rows, shape.trained), dtype=torch.int32),
        torch.full((shape.rows, shape.trained), -1, dtype=torch.int32),
    )
    first_row = _first_rows(shape)
    used = dict.fromkeys(shape.slots, 0)
    for row, sample in enumerate(samples):
        at = np.flatnonzero(sample.trained)
        wanted = [image.shape[0] for image in sample.images]
        fits = all(used[side] + wanted.count(side) <= shape.slots[side] for side in set(wanted))
        if len(sample.ids) > shape.length or len(at) > shape.trained or not fits:
            continue
        at_row = row * shape.length
        shown = np.flatnonzero(sample.ids == image_pad) + at_row
        for image in sample.images:
            side, tokens = image.shape[0], (image.shape[0] // _CELL) ** 2
            batch.images[side][used[side]] = torch.from_numpy(image)
            start = first_row[side] + used[side] * tokens
            batch.place[start : start + tokens] = torch.from_numpy(shown[:tokens])
            shown = shown[tokens:]
            used[side] += 1
        length = len(sample.ids)
        batch.ids[row, :length] = torch.from_numpy(sample.ids)
        batch.positions[:, row, :length] = torch.from_numpy(sample.positions).int()
        batch.at[row, : len(at)] = torch.from_numpy(at - 1).int()
        batch.targets[row, : len(at)] = torch.from_numpy(sample.ids[at])
    return batch


def _first_rows(shape: Shape) -> dict[int, int]:
    """Tell where the embeddings of each size begin when all sizes are joined in the order of `slots`."""
    starts, start = {}, 0
    for side, count in shape.slots.items():
        starts[side] = start
        start += count * (side // _CELL) ** 2
    return starts


def _tokens(shape: Shape) -> int:
    return sum(count * (side // _CELL) ** 2 for side, count in shape.slots.items())
