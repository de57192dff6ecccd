"""Assemble a training batch: crops with their targets, and groups of prompts of one kind each."""

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from rl.segmenter.augment import mirror, relight
from rl.segmenter.pool import ScenePool, loss_target, normalise
from rl.segmenter.prompts import (
    box_points,
    inside_weight,
    jitter_boxes,
    loose_windows,
    outside_weight,
    sample_points,
    to_crop,
    window_boxes,
)

SHARES = {"box": 0.66, "box+point": 0.1, "box+points": 0.12, "points": 0.12}
"""Kind of prompt → share of the batch."""


@dataclass(frozen=True)
class Group:
    """Prompts of one kind for the crops `start` to `stop`: points (n, count, 2) in crop pixels, labels (n, count)."""

    kind: str
    start: int
    stop: int
    points: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Batch:
    """Normalised crops (n, 3, size, size), soft targets (n, size / 2, size / 2), and who is prompted how."""

    pixels: Tensor
    target: Tensor
    groups: list[Group]


class BatchMaker:
    """Draws training batches from a pool."""

    def __init__(self, pool: ScenePool, *, size: int, window: float, generator: torch.Generator) -> None:
        self._pool = pool
        self._size = size
        self._window = window
        self._generator = generator
        self._counts = random.Random(generator.initial_seed())  # on the host: asking the device would stall it

    @torch.no_grad()
    def draw(self, count: int) -> Batch:
        """Draw `count` targets and prompt each; whole thing on the pool's device."""
        generator, size = self._generator, self._size
        targets = self._pool.draw(count, generator)
        boxes = jitter_boxes(targets.boxes, generator)
        spread = torch.rand(count, generator=generator, device=boxes.device)
        windows = window_boxes(boxes, self._window * (0.88 + 0.3 * spread))
        bounds = _bounds(count)
        first, last = bounds["points"]
        windows[first:last] = loose_windows(targets.boxes[first:last], generator)
        crops, cover = self._pool.cut(targets, windows, size)
        crops, cover, boxes = mirror(crops, cover, to_crop(boxes, windows, size), generator)
        target = loss_target(cover)
        groups = [
            self._group(kind, *bounds[kind], target, boxes) for kind in SHARES if bounds[kind][1] > bounds[kind][0]
        ]
        return Batch(normalise(relight(crops, generator)), target, groups)

    def _group(self, kind: str, start: int, stop: int, target: Tensor, boxes: Tensor) -> Group:
        cover, box = target[start:stop], boxes[start:stop]
        points, labels = box_points(box)
        if kind == "box":
            return Group(kind, start, stop, points, labels)
        clicks = sample_points(inside_weight(cover), 3, self._size, self._generator)
        if kind == "points":
            clicks = clicks[:, : self._counts.randint(1, 3)]
            return Group(
                kind, start, stop, clicks, torch.ones(clicks.shape[:2], dtype=torch.int64, device=clicks.device)
            )
        inside = clicks[:, :1] if kind == "box+point" else clicks[:, : self._counts.randint(1, 3)]
        extra = [inside]
        marks = [torch.ones(inside.shape[:2], dtype=torch.int64, device=inside.device)]
        if kind == "box+points":
            extra.append(sample_points(outside_weight(cover, box, self._size), 1, self._size, self._generator))
            marks.append(torch.zeros(extra[1].shape[:2], dtype=torch.int64, device=inside.device))
        return Group(kind, start, stop, torch.cat([*extra, points], 1), torch.cat([*marks, labels], 1))


def _bounds(count: int) -> dict[str, tuple[int, int]]:
    """Divide 0..count by SHARES."""
    stops, total = {}, 0.0
    for kind, share in SHARES.items():
        start, total = round(total * count), total + share
        stops[kind] = (start, round(total * count))
    return stops
