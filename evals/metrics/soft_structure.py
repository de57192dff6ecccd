"""S-measure of soft maps (Fan et al., ICCV 2017): `structure` for maps with levels between nothing and everything.

Own code instead of pysodmetrics 1.6.2 for the reasons that `f_measure` gives, in 2 to 6 ms for 1024 x 1024 instead
of 29 to 35. Means and spreads follow from how many pixels of each quadrant have each level, inside and outside the
object.
"""

import math

import numpy as np
from numpy.typing import NDArray

from evals.metrics.maps import histograms, read_pair, stretched_values
from evals.metrics.overlap import AnyMask
from evals.metrics.structure import ALPHA, quadrants

Counts = NDArray[np.int64]


def soft_structure_measure(predicted: AnyMask, truth: AnyMask, *, alpha: float = ALPHA) -> float:
    """Return S of a map or mask (height, width) against a true mask, 0 to 1.

    For masks this is `structure_measure`. A truth without object asks for an empty map, one that fills the picture for
    a full map: S is then how near the mean is. A quadrant without pixels (where pysodmetrics has no number) is left
    out, and a map that is flat in a quadrant has no spread there, rounding or not. Raises ValueError for different
    shapes and for pictures that could be read in two ways (`maps`).
    """
    levels, truth = read_pair(predicted, truth)
    values = stretched_values(levels)
    parts = [histograms(levels[part], truth[part]) for part in quadrants(truth)] if truth.any() else []
    inside, outside = np.sum(parts, axis=0) if parts else histograms(levels, truth)
    if not inside.any() or not outside.any():
        mean = _moments(values, inside + outside)[0]
        return mean if inside.any() else 1.0 - mean
    share = float(inside.sum()) / truth.size
    on_object = share * _uniformity(values, inside) + (1 - share) * _uniformity(1 - values, outside)
    on_region = sum(float(a.sum() + b.sum()) / truth.size * _similarity(values, a, b) for a, b in parts)
    return float(min(max(alpha * on_object + (1 - alpha) * on_region, 0.0), 1.0))


def _uniformity(values: NDArray[np.float64], counts: Counts) -> float:
    mean, variance = _moments(values, counts)
    return 2 * mean / (mean * mean + 1 + math.sqrt(variance))


def _similarity(values: NDArray[np.float64], inside: Counts, outside: Counts) -> float:
    """Return SSIM without its constants; where there is no covariance to compare, 1 if both are even, else 0."""
    n = int(inside.sum() + outside.sum())
    ours, variance = _moments(values, inside + outside)
    theirs = float(inside.sum()) / n
    spread = max(n - 1, 1)
    # A flat map or an even truth has no covariance: said outright, because rounding would not give zero.
    even = variance == 0 or theirs in (0.0, 1.0)
    covariance = 0.0 if even else float((values - ours) @ inside) / spread
    below = (ours * ours + theirs * theirs) * (variance + n * theirs * (1 - theirs) / spread)
    above = 4 * ours * theirs * covariance
    if above:
        return above / below
    return float(below == 0)


def _moments(values: NDArray[np.float64], counts: Counts) -> tuple[float, float]:
    """Return mean and variance (n - 1) of counted values; one level has no variance."""
    n = int(counts.sum())
    mean = float(values @ counts) / n
    if np.count_nonzero(counts) < 2:
        return mean, 0.0
    return mean, float((values - mean) ** 2 @ counts) / (n - 1)
