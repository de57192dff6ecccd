"""Cut out whatever there is: a grid of points, the masks that a segmenter is sure of, and each of them once.

Works with every `Segmenter`. One that can look at the whole picture at once does so first, and then only looks closely
at the masks that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from tools.errors import InputError
from tools.image_store import Image
from tools.segmenters.base import Mask, Prompt, Segment, Segmenter
from tools.segmenters.prompts import box_of


@runtime_checkable
class WholePictureSegmenter(Protocol):
    """A segmenter with a quick and coarse way for many prompts of one picture."""

    def segment_whole(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt, looking once at the whole picture."""
        ...


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """How masks are proposed.

    `points` a side of the grid; masks below `score` (the segmenter's own IoU estimate), of fewer than `pixels`, or that
    cover more than `share` of the picture are dropped. Of two whose IoU is above `overlap`, or that share more than
    `nested` of the smaller, the surer one stays (1: nested ones both stay). A mask must share an IoU of `agreement`
    with what a closer look makes of it.
    """

    points: int = 10
    score: float = 0.7
    pixels: int = 100
    share: float = 0.9
    overlap: float = 0.6
    nested: float = 0.6
    agreement: float = 0.05

    def __post_init__(self) -> None:
        if self.points < 1:
            raise InputError(f"a grid of {self.points} points a side is none.", remedy="Ask for 1 or more.")


def propose_masks(segmenter: Segmenter, image: Image, proposals: Proposals | None = None) -> list[Segment]:
    """Return the masks of all that stands out in an RGB picture, uint8 (height, width, 3), the surest first.

    Raises SegmenterError if the model cannot run.
    """
    rules = proposals or Proposals()
    grid = [Prompt(points=(point,), labels=(1,)) for point in grid_points(image.shape[:2], rules.points)]
    if not isinstance(segmenter, WholePictureSegmenter):
        return keep_distinct(segmenter.segment(image, grid), rules)
    # Nested ones are told apart after the closer look, whose scores can be trusted more.
    coarse = keep_distinct(segmenter.segment_whole(image, grid), replace(rules, nested=1.0))
    fine = segmenter.segment(image, [Prompt(box_of(segment.mask)) for segment in coarse])
    agreed = [f for c, f in zip(coarse, fine, strict=True) if _iou(c.mask, f.mask) >= rules.agreement]
    return keep_distinct(agreed, rules)


def grid_points(size: tuple[int, ...], points: int) -> list[tuple[float, float]]:
    """Return the x, y centres of `points` by `points` equal cells of a picture of (height, width), row by row."""
    height, width = size
    steps = (np.arange(points) + 0.5) / points
    return [(float(x * width), float(y * height)) for y in steps for x in steps]


def keep_distinct(segments: Sequence[Segment], rules: Proposals) -> list[Segment]:
    """Drop unsure, tiny and all-covering masks, and of those that are nearly the same all but the surest."""
    kept: list[Segment] = []
    masks: list[Mask] = []
    areas: list[int] = []
    for segment in sorted(segments, key=lambda one: -one.score):
        area = int(np.count_nonzero(segment.mask))
        if segment.score < rules.score or not rules.pixels <= area <= rules.share * segment.mask.size:
            continue
        both = [int(np.count_nonzero(other & segment.mask)) for other in masks]
        if all(
            b <= rules.overlap * (area + a - b) and b <= rules.nested * min(area, a)
            for b, a in zip(both, areas, strict=True)
        ):
            kept.append(segment)
            masks.append(segment.mask)
            areas.append(area)
    return kept


def _iou(one: Mask, other: Mask) -> float:
    either = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / either if either else 0.0
