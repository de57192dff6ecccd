"""Mask loss in SAM's manner: focal and dice, the single mask and the best of three, and an estimate of the IoU."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Losses:
    """The total to descend, and for the log the mean IoU of the single mask and of the best-scored of three."""

    total: Tensor
    single_iou: Tensor
    picked_iou: Tensor


def mask_losses(logits: Tensor, scores: Tensor, present: Tensor, target: Tensor) -> Losses:
    """Compare predictions with soft targets.

    Args:
        logits: (batch, 4, cells, cells), the single mask first.
        scores: estimated IoU (batch, 4).
        present: object score logits (batch, 1); every training prompt has an object.
        target: coverage 0..1, float (batch, side, side); logits are brought to that side.
    """
    fine = functional.interpolate(logits.float(), target.shape[-2:], mode="bilinear", align_corners=False)
    wanted = target[:, None]
    probability = fine.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(fine, wanted.expand_as(fine), reduction="none")
    # Focus on what is wrong; and on small targets, which fill little of the crop.
    focal = (cross * (0.1 + (probability - wanted).abs() ** 1.5)).mean((2, 3)) / (wanted.mean((2, 3)) + 0.2)
    overlap = (probability * wanted).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / ((probability**2).sum((2, 3)) + (wanted**2).sum((2, 3)) + 1)
    each = 2.0 * focal + dice
    with torch.no_grad():
        iou = binary_iou(fine > 0, wanted > 0.5)
    single, several = each[:, 0], each[:, 1:]
    mask_loss = single.mean() + 0.5 * several.min(dim=1).values.mean() + 0.05 * several.mean()
    score_loss = functional.mse_loss(scores.float(), iou)
    present_loss = functional.softplus(-present.float()).mean()
    picked = iou.gather(1, 1 + scores[:, 1:].argmax(1, keepdim=True))
    return Losses(mask_loss + score_loss + 0.02 * present_loss, iou[:, 0].mean(), picked.mean())


def binary_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the IoU of boolean masks (..., height, width); two empty ones agree."""
    both, either = (one & other).sum((-2, -1)), (one | other).sum((-2, -1))
    return torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(both, dtype=torch.float32))
