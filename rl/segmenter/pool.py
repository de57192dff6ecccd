"""Scenes on the training device, constantly renewed; each step draws targets from it and cuts their windows there.

Rendering is the slow side: a scene stays in the pool for a while and serves several targets, each several times with
another prompt, window, mirror image and light, so that the accelerator never waits.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from rl.segmenter.scenes import MOST, SIDE

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class SceneBatch:
    """Stacked scenes: pictures uint8 (n, SIDE, SIDE, 3), ids uint8 (n, SIDE, SIDE), boxes int16 (n, MOST, 4)."""

    pictures: Tensor
    ids: Tensor
    boxes: Tensor
    families: Tensor

    def owned(self, *, pin: bool) -> Self:
        """Copy the tensors into this process's memory, pinned for fast transfer if wanted."""
        tensors = self.pictures, self.ids, self.boxes, self.families
        return type(self)(*(tensor.pin_memory() if pin else tensor.clone() for tensor in tensors))


@dataclass(frozen=True)
class Targets:
    """Drawn targets: scene index and number (from 1) in it, true box (n, 4) in scene pixels, family."""

    scenes: Tensor
    numbers: Tensor
    boxes: Tensor
    families: Tensor


class ScenePool:
    """A ring of scenes in device memory."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._pictures = torch.empty((capacity, SIDE, SIDE, 3), dtype=torch.uint8, device=device)
        self._ids = torch.empty((capacity, SIDE, SIDE), dtype=torch.uint8, device=device)
        self._boxes = torch.zeros((capacity, MOST, 4), dtype=torch.int16, device=device)
        self._families = torch.zeros((capacity, MOST), dtype=torch.uint8, device=device)
        self._usable = torch.zeros((0, 2), dtype=torch.int64, device=device)
        self._next = 0
        self.rendered = 0
        """Scenes added so far."""
        self.targets = 0
        """Targets added so far."""

    def add(self, batch: SceneBatch) -> None:
        """Put scenes into the ring, over the oldest."""
        count, capacity = len(batch.pictures), len(self._pictures)
        where = (torch.arange(count) + self._next) % capacity
        where = where.to(self._pictures.device)
        for store, new in zip(
            (self._pictures, self._ids, self._boxes, self._families),
            (batch.pictures, batch.ids, batch.boxes, batch.families),
            strict=True,
        ):
            store[where] = new.to(store.device, non_blocking=True)
        self._next = (self._next + count) % capacity
        self.rendered += count
        self.targets += int((batch.boxes[:, :, 2] > 0).sum())

    def refresh(self) -> None:
        """Make what was added drawable; call it after a round of `add`."""
        self._usable = (self._boxes[:, :, 2] > 0).nonzero()

    def draw(self, count: int, generator: torch.Generator) -> Targets:
        """Draw `count` targets with replacement."""
        picks = torch.randint(len(self._usable), (count,), generator=generator, device=self._usable.device)
        return self._targets(self._usable[picks])

    def every(self) -> Targets:
        """Return every target, in order; for held-out sets."""
        return self._targets(self._usable)

    def _targets(self, chosen: Tensor) -> Targets:
        scenes, slots = chosen[:, 0], chosen[:, 1]
        return Targets(scenes, slots + 1, self._boxes[scenes, slots].float(), self._families[scenes, slots])

    def cut(self, targets: Targets, windows: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Cut windows (n, 3; x, y, side in scene pixels) around targets.

        Returns:
            RGB in 0..1, float32 (n, 3, size, size), the mean colour outside the scene; coverage, float32
            (n, size, size).
        """
        scenes = targets.scenes[:, None, None]
        rows, columns = _taps(windows[:, 1], windows[:, 2], size), _taps(windows[:, 0], windows[:, 2], size)
        crops = torch.zeros((len(windows), size, size, 3), device=windows.device)
        cover = torch.zeros((len(windows), size, size), device=windows.device)
        shown = torch.zeros_like(cover)
        for row, row_weight in rows:  # bilinear: only the pixels that are needed are read, straight from uint8
            for column, column_weight in columns:
                where = scenes, row[:, :, None], column[:, None, :]
                weight = row_weight[:, :, None] * column_weight[:, None, :]
                crops.addcmul_(self._pictures[where].float(), weight[..., None], value=1 / 255)
                cover += weight * (self._ids[where] == targets.numbers[:, None, None])
                shown += weight
        crops += torch.tensor(MEAN, device=crops.device) * (1 - shown)[..., None]
        return crops.permute(0, 3, 1, 2), cover


def _taps(start: Tensor, side: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """Return, along one axis, the two pixels that each of `size` crop pixels mixes, and their weights, each (n, size).

    `start` and `side` (n,) are the window's, in scene pixels; pixels outside the scene have weight 0.
    """
    centres = (torch.arange(size, device=start.device) + 0.5) / size
    place = start[:, None] + centres * side[:, None] - 0.5
    first = place.floor()
    taps = []
    for pixel, weight in ((first, 1 - (place - first)), (first + 1, place - first)):
        inside = (pixel >= 0) & (pixel < SIDE)
        taps.append((pixel.clamp(0, SIDE - 1).long(), weight * inside))
    return taps


def normalise(crops: Tensor) -> Tensor:
    """Normalise RGB in 0..1 (n, 3, h, w) as SAM 2 does."""
    mean = torch.tensor(MEAN, device=crops.device)[:, None, None]
    return (crops - mean) / torch.tensor(STD, device=crops.device)[:, None, None]


def loss_target(cover: Tensor) -> Tensor:
    """Average coverage (n, size, size) down to (n, size / 2, size / 2): twice the logits, with soft edges."""
    return functional.avg_pool2d(cover[:, None], 2)[:, 0]
