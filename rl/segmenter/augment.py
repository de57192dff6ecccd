"""Cheap variety on the training device: mirror images, quarter turns, light, colour, noise."""

import torch
from torch import Tensor


def mirror(crops: Tensor, cover: Tensor, boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Mirror half of the pictures left to right, and transpose one in ten.

    Args:
        crops: (n, 3, size, size).
        cover: (n, size, size).
        boxes: crop pixels (n, 4).
        generator: source of randomness on the same device.
    """
    size = crops.shape[-1]
    flip = torch.rand(len(crops), generator=generator, device=crops.device) < 0.5
    crops = torch.where(flip[:, None, None, None], crops.flip(3), crops)
    cover = torch.where(flip[:, None, None], cover.flip(2), cover)
    mirrored = torch.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], dim=1)
    boxes = torch.where(flip[:, None], mirrored, boxes)
    turn = torch.rand(len(crops), generator=generator, device=crops.device) < 0.1
    crops = torch.where(turn[:, None, None, None], crops.transpose(2, 3), crops)
    cover = torch.where(turn[:, None, None], cover.transpose(1, 2), cover)
    boxes = torch.where(turn[:, None], boxes[:, [1, 0, 3, 2]], boxes)
    return crops, cover, boxes


def relight(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Change gamma, gain, cast and saturation of RGB in 0..1 (n, 3, h, w), and add noise to some."""
    n, device = len(crops), crops.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    def chance(share: float) -> Tensor:
        return (torch.rand(n, 1, 1, 1, generator=generator, device=device) < share).float()

    gamma = torch.exp(0.25 * normal(n, 1, 1, 1) * chance(0.5))
    gain = torch.exp(0.15 * normal(n, 1, 1, 1) + 0.05 * normal(n, 3, 1, 1) * chance(0.5))
    lit = crops.clamp(0.001, 1) ** gamma * gain
    grey = lit.mean(1, keepdim=True)
    dull = torch.rand(n, 1, 1, 1, generator=generator, device=device)
    saturation = 1 - chance(0.5) * dull
    lit = grey + (lit - grey) * saturation
    noise = 0.03 * normal(*crops.shape) * torch.rand(n, 1, 1, 1, generator=generator, device=device) * chance(0.3)
    return (lit + noise).clamp(0, 1)
