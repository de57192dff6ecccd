"""S-measure of binary masks: how alike two masks are in structure (Fan et al., ICCV 2017), not only in area.

Everything that the measure asks of binary masks follows from how many pixels are predicted, true, and both, in the
whole picture and in four quadrants, so it costs a few sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.overlap import AnyMask, as_mask

ALPHA = 0.5
"""Weight of the object part against the region part."""


@dataclass(frozen=True)
class _Counts:
    """Pixels of a region: all, predicted, true, and both."""

    pixels: int
    predicted: int
    true: int
    both: int


def structure_measure(predicted: AnyMask, truth: AnyMask, *, alpha: float = ALPHA) -> float:
    """Return S of two masks (height, width), 0 to 1; any non-zero value is mask, so 0/1 and 0/255 mean the same.

    A truth without object asks for an empty mask, one that fills the picture for a full mask: S is then the share of
    pixels that are so. Raises ValueError for masks of different shapes or without pixels.
    """
    if predicted.shape != truth.shape or not truth.size:
        raise ValueError(f"masks of the shapes {predicted.shape} and {truth.shape} cannot be compared")
    ours, theirs = as_mask(predicted), as_mask(truth)
    whole = _count(ours, theirs)
    if whole.true == 0:
        return 1 - whole.predicted / whole.pixels
    if whole.true == whole.pixels:
        return whole.predicted / whole.pixels
    return min(max(alpha * _object_part(whole) + (1 - alpha) * _region_part(ours, theirs), 0.0), 1.0)


def _object_part(whole: _Counts) -> float:
    """Return how uniformly the object is predicted and the rest is not, weighted by area."""
    rest = whole.pixels - whole.true
    missed = whole.predicted - whole.both
    share = whole.true / whole.pixels
    return share * _uniformity(whole.both, whole.true) + (1 - share) * _uniformity(rest - missed, rest)


def _uniformity(right: int, pixels: int) -> float:
    mean = right / pixels
    deviation = (mean * (1 - mean) * pixels / (pixels - 1)) ** 0.5 if pixels > 1 else 0.0
    return 2 * mean / (mean * mean + 1 + deviation)


def _region_part(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> float:
    """Return the structural similarity of the four quadrants around the true centroid, weighted by area."""
    regions = [_count(ours[part], theirs[part]) for part in quadrants(theirs)]
    return sum(counts.pixels / theirs.size * _similarity(counts) for counts in regions)


def quadrants(mask: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Return the quadrants around the centroid of a mask that is not empty, those without pixels left out."""
    row, column = _centroid(mask)
    return [
        (rows, columns)
        for rows in (slice(None, row), slice(row, None))
        for columns in (slice(None, column), slice(column, None))
        if mask[rows, columns].size
    ]


def _centroid(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first row and column beyond the centroid, each at least 1: where the quadrants meet."""
    down, across = (mask.sum(axis=axis) for axis in (1, 0))
    area = int(down.sum())
    row, column = (float(line @ np.arange(len(line))) / area for line in (down, across))
    return round(row) + 1, round(column) + 1


def _similarity(counts: _Counts) -> float:
    """Return SSIM without its constants; where a region has no variance to compare, 1 if both are even, else 0."""
    n = counts.pixels
    ours, theirs = counts.predicted / n, counts.true / n
    spread = max(n - 1, 1)
    our_variance = counts.predicted * (1 - ours) / spread
    true_variance = counts.true * (1 - theirs) / spread
    # Whole numbers, so that "no covariance" is exactly zero.
    covariance = (counts.both * n - counts.predicted * counts.true) / (n * spread)
    below = (ours * ours + theirs * theirs) * (our_variance + true_variance)
    above = 4 * ours * theirs * covariance
    if above:
        return above / below
    return float(below == 0)


def _count(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> _Counts:
    counted = (int(np.count_nonzero(mask)) for mask in (ours, theirs, ours & theirs))
    return _Counts(theirs.size, *counted)
