"""Measure a model during training, on scenes that it never trained on: IoU in the crop, box prompts, by family."""

from collections import defaultdict

import torch
from transformers import Sam2Model

from rl.segmenter.losses import binary_iou
from rl.segmenter.model import decode, encode
from rl.segmenter.pool import ScenePool, normalise
from rl.segmenter.prompts import box_points, to_crop, window_boxes
from rl.segmenter.scenes import FAMILIES

JITTER = 6.0
"""Each edge of the true box moves by up to this many scene pixels, at most an eighth of the shorter side."""


@torch.no_grad()
def held_out_iou(model: Sam2Model, pool: ScenePool, *, size: int, window: float, seed: int = 0) -> dict[str, float]:
    """Return the mean IoU of each family, of all emblems, of everything else; by the single mask."""
    targets = pool.every()
    device = targets.boxes.device
    generator = torch.Generator(device).manual_seed(seed)
    shift = torch.rand(len(targets.boxes), 4, generator=generator, device=device) * 2 - 1
    shorter = (targets.boxes[:, 2:] - targets.boxes[:, :2]).amin(1, keepdim=True)
    boxes = targets.boxes + shift * (shorter / 8).clamp(max=JITTER)
    windows = window_boxes(boxes, torch.full((len(boxes),), window, device=device))
    points, labels = box_points(to_crop(boxes, windows, size))
    found: dict[str, list[float]] = defaultdict(list)
    for start in range(0, len(boxes), 64):
        part = slice(start, start + 64)
        piece = type(targets)(targets.scenes[part], targets.numbers[part], targets.boxes[part], targets.families[part])
        crops, cover = pool.cut(piece, windows[part], size)
        logits, _, _ = decode(model, encode(model, normalise(crops)), points[part], labels[part])
        fine = torch.nn.functional.interpolate(logits[:, :1].float(), (size, size), mode="bilinear")[:, 0]
        for iou, family in zip(binary_iou(fine > 0, cover > 0.5).tolist(), piece.families.tolist(), strict=True):
            found[FAMILIES[family]].append(iou)
    return _summary(found)


def _summary(found: dict[str, list[float]]) -> dict[str, float]:
    summary = {name: sum(values) / len(values) for name, values in sorted(found.items())}
    for title, emblem in (("emblems", True), ("figures", False)):
        values = [v for name, group in found.items() if name.startswith("emblem:") == emblem for v in group]
        if values:
            summary[title] = sum(values) / len(values)
    return {name: round(value, 4) for name, value in summary.items()}
