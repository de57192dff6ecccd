"""Prompts as people, policies and trackers give them, and the windows around them; batched on the training device.

The window follows `tools.segmenters.window.window_for`: side = factor times the longer side of the (jittered) box,
whole pixels, centred on it. Coordinates are continuous pixels of the scene until `to_crop`, then of the crop.
"""

import torch
from torch import Tensor

from tools.segmenters.window import MIN_SIDE


def jitter_boxes(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Disturb boxes (batch, 4) as a mixture: careful (45 %), sloppy (35 %), stale as in tracking (20 %)."""
    batch, device = len(boxes), boxes.device
    sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    long_side = sides.amax(1, keepdim=True)
    kind = torch.rand(batch, 1, generator=generator, device=device)
    draw = torch.rand(batch, 1, generator=generator, device=device)
    spread = torch.where(kind < 0.45, 0.05 * draw, 0.05 + 0.07 * draw)
    edges = torch.randn(batch, 4, generator=generator, device=device) * spread * (0.5 * sides + 0.5 * long_side)
    moved = boxes + edges
    stale = (kind >= 0.8).float()
    shift = torch.randn(batch, 2, generator=generator, device=device).clamp(-2, 2) * 0.12 * sides[:, :2] * stale
    grow = torch.exp(0.15 * torch.randn(batch, 2, generator=generator, device=device).clamp(-2, 2) * stale)
    centre = (moved[:, :2] + moved[:, 2:]) / 2 + shift
    half = (moved[:, 2:] - moved[:, :2]).abs().maximum(0.4 * sides[:, :2]) / 2 * grow
    return torch.cat([centre - half, centre + half], dim=1)


def window_boxes(boxes: Tensor, factor: Tensor) -> Tensor:
    """Return the windows (x, y, side), whole pixels in float (batch, 3), around boxes (batch, 4)."""
    side = (factor * (boxes[:, 2:] - boxes[:, :2]).amax(1)).round().clamp(min=MIN_SIDE)
    corner = ((boxes[:, :2] + boxes[:, 2:] - side[:, None]) / 2).round()
    return torch.cat([corner, side[:, None]], dim=1)


def loose_windows(boxes: Tensor, generator: torch.Generator) -> Tensor:
    """Return windows (batch, 3), 1.2 to 6 times the longer side, that hold the box: for prompts without one."""
    batch, device = len(boxes), boxes.device
    factor = 1.2 * torch.exp(torch.rand(batch, generator=generator, device=device) * 1.61)
    windows = window_boxes(boxes, factor)
    slack = (windows[:, 2:] - (boxes[:, 2:] - boxes[:, :2])).clamp(min=0) / 2
    shift = (torch.rand(batch, 2, generator=generator, device=device) * 2 - 1) * slack
    return torch.cat([(windows[:, :2] + shift).round(), windows[:, 2:]], dim=1)


def to_crop(boxes: Tensor, windows: Tensor, size: int) -> Tensor:
    """Map boxes (batch, 4) of the scene to pixels of the (size, size) crop of each window."""
    return (boxes - windows[:, :2].repeat(1, 2)) * (size / windows[:, 2:])


def sample_points(weight: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw `count` points, x and y in crop pixels (batch, count, 2), with probability ∝ weight (batch, h, w)."""
    batch, _, width = weight.shape
    chosen = torch.multinomial(weight.reshape(batch, -1) + 1e-9, count, replacement=True, generator=generator)
    cells = torch.stack([chosen % width, chosen // width], dim=-1).float()
    within = torch.rand(batch, count, 2, generator=generator, device=weight.device)
    return (cells + within) * (size / width)


def inside_weight(target: Tensor) -> Tensor:
    """Weigh where positive clicks fall: inside coverage (batch, h, w), rarely at the very edge."""
    deep = torch.nn.functional.avg_pool2d(target[:, None], 9, 1, 4)[:, 0]
    return (target > 0.5) * deep**4


def outside_weight(target: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Weigh where negative clicks fall: outside coverage (batch, h, w), mostly in the box (batch, 4; crop pixels)."""
    height = target.shape[1]
    centres = (torch.arange(height, device=target.device) + 0.5) * (size / height)
    column = (centres >= boxes[:, :1]) & (centres < boxes[:, 2:3])
    row = (centres >= boxes[:, 1:2]) & (centres < boxes[:, 3:])
    return (target < 0.2) * (0.1 + (row[:, :, None] & column[:, None, :]).float())


def box_points(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Write boxes (batch, 4) as two points (batch, 2, 2) with labels 2 and 3."""
    labels = torch.tensor([2, 3], device=boxes.device).expand(len(boxes), 2)
    return boxes.reshape(-1, 2, 2), labels
