"""Boundary accuracy F as in DAVIS (Perazzi et al., CVPR 2016; `db_eval_boundary` of davis2017-evaluation).

Precision is the share of predicted boundary pixels within a tolerance of a true one, recall the reverse, F their
harmonic mean. Distances come from exact distance transforms inside the smallest window that holds both boundaries,
which gives what dilating by a disk gives and costs a fraction of it.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.metrics.overlap import AnyMask, as_mask

TOLERANCE = 0.008
"""Share of the picture's diagonal within which boundaries match."""


def tolerance_pixels(height: int, width: int) -> int:
    """Return DAVIS's tolerance for a picture of this size, in whole pixels: the diagonal's 0.8 %, rounded up."""
    return math.ceil(TOLERANCE * math.hypot(height, width))


def boundary_of(mask: AnyMask) -> NDArray[np.bool_]:
    """Return the boundary pixels of a mask, bool (height, width), one pixel wide, as DAVIS's `seg2bmap` draws them.

    A pixel is boundary if its neighbour to the right, below, or diagonally between is on the other side of the mask;
    the picture's own edge is no boundary.
    """
    inside = as_mask(mask)
    edge = np.zeros(inside.shape, np.bool_)
    right, below = inside[:, :-1] != inside[:, 1:], inside[:-1] != inside[1:]
    edge[:, :-1] |= right
    edge[:-1] |= below
    edge[:-1, :-1] |= inside[:-1, :-1] != inside[1:, 1:]
    return edge


def boundary_f(predicted: AnyMask, truth: AnyMask, *, tolerance: int | None = None) -> float:
    """Return F of two masks (height, width), 0 to 1; `tolerance` is in pixels, by default DAVIS's.

    Two empty masks agree (1), one empty mask scores 0; so does one mask without a boundary (the full picture) against
    one with. Where DAVIS's own code finds two masks without boundaries equal, the full and the empty picture included,
    this one asks for equal masks. Raises ValueError for masks of different shapes.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of different shapes, {predicted.shape} and {truth.shape}")
    ours, theirs = boundary_of(predicted), boundary_of(truth)
    ours_any, theirs_any = bool(ours.any()), bool(theirs.any())
    if not ours_any and not theirs_any:
        return float(bool(as_mask(predicted).flat[0]) == bool(as_mask(truth).flat[0]))
    if not (ours_any and theirs_any):
        return 0.0
    pixels = tolerance_pixels(*truth.shape) if tolerance is None else tolerance
    window = _window(ours | theirs)
    ours, theirs = ours[window], theirs[window]
    precision, recall = _near(ours, theirs, pixels), _near(theirs, ours, pixels)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _window(pixels: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _near(ones: NDArray[np.bool_], others: NDArray[np.bool_], pixels: int) -> float:
    """Return the share of `ones` that lie within `pixels` of one of `others`; both have some."""
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers, so a hundredth of a pixel only makes up for rounding.
    return float(np.count_nonzero(distance[ones] <= pixels + 0.01 / max(pixels, 1)) / np.count_nonzero(ones))
