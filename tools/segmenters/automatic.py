"""Cut out whatever there is: a grid of points, the masks that a segmenter is sure of, and each of them once.

Works with every `Segmenter`. One that can look at the whole picture at once does so first, and then only looks closely
at the masks that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tools.errors import InputError
from tools.image_store import Image
from tools.segmenters.base import Prompt, Segment, Segmenter
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
    cover more than `share` of the picture are dropped; of two whose IoU is above `overlap` the surer one stays.
    """

    points: int = 10
    score: float = 0.7
    pixels: int = 100
    share: float = 0.9
    overlap: float = 0.6

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
    coarse = keep_distinct(segmenter.segment_whole(image, grid), rules)
    boxes = [Prompt(box_of(segment.mask)) for segment in coarse]
    return keep_distinct(segmenter.segment(image, boxes), rules)


def grid_points(size: tuple[int, ...], points: int) -> list[tuple[float, float]]:
    """Return the x, y centres of `points` by `points` equal cells of a picture of (height, width), row by row."""
    height, width = size
    steps = (np.arange(points) + 0.5) / points
    return [(float(x * width), float(y * height)) for y in steps for x in steps]


def keep_distinct(segments: Sequence[Segment], rules: Proposals) -> list[Segment]:
    """Drop unsure, tiny and all-covering masks, and of those that are nearly the same all but the surest."""
    kept: list[Segment] = []
    flat: list[NDArray[np.bool_]] = []
    areas: list[int] = []
    for segment in sorted(segments, key=lambda one: -one.score):
        area = int(np.count_nonzero(segment.mask))
        if segment.score < rules.score or not rules.pixels <= area <= rules.share * segment.mask.size:
            continue
        both = [int(np.count_nonzero(other & segment.mask)) for other in flat]
        if all(b <= rules.overlap * (area + a - b) for b, a in zip(both, areas, strict=True)):
            kept.append(segment)
            flat.append(segment.mask)
            areas.append(area)
    return kept
