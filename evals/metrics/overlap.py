"""Region overlap of two masks: IoU, which DAVIS calls J. Any non-zero value counts as mask: bool, 0/1 or 0/255."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

AnyMask = NDArray[Any]
"""A mask of any type (height, width); non-zero is inside."""


def as_mask(mask: AnyMask) -> NDArray[np.bool_]:
    """Return a mask as bool (height, width): non-zero is inside. Raises ValueError unless it has two axes."""
    if mask.ndim != 2:
        raise ValueError(f"a mask has two axes, this one has the shape {mask.shape}")
    return mask if mask.dtype == np.bool_ else mask != 0


def mask_iou(one: AnyMask, other: AnyMask) -> float:
    """Return the intersection over union of two masks (height, width), 0 to 1.

    Two empty masks agree, which is 1 by definition; one empty mask gives 0. Raises ValueError for different shapes.
    """
    a, b = _pair(one, other)
    both = int(np.count_nonzero(a & b))
    either = int(np.count_nonzero(a)) + int(np.count_nonzero(b)) - both
    return both / either if either else 1.0


def box_iou(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    """Return the IoU of two boxes (x1, y1, x2, y2) in one frame; 0 if both have no area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    areas = [max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]) for box in (one, other)]
    either = sum(areas) - both
    return both / either if either > 0 else 0.0


def _pair(one: AnyMask, other: AnyMask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if one.shape != other.shape:
        raise ValueError(f"masks of different shapes, {one.shape} and {other.shape}")
    return as_mask(one), as_mask(other)
