"""Weighted F-measure (Margolin et al., CVPR 2014): errors count by where they are.

A false alarm counts more the farther it is from the object, up to twice; a miss counts less if its surroundings are
found. Own code instead of pysodmetrics 1.6.2 for the reasons that `f_measure` gives, in 90 ms for
1024 x 1024 instead of 370 to 410. What it saves: the nearest object pixel is looked up only where the 7 x 7 smoothing
reads it, and the smoothing runs only around the object.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.metrics.maps import read_pair, stretched_values
from evals.metrics.overlap import AnyMask

_RADIUS = 3
_SIGMA = 5.0
_HALF_LIFE = 5.0
"""Pixels from the object at which a false alarm's extra weight has half of its way left."""
_NEIGHBOURS = sorted(
    ((x, y) for x in range(-4, 5) for y in range(-4, 5) if 0 < x * x + y * y <= 2 * _RADIUS**2),
    key=lambda step: (step[0] ** 2 + step[1] ** 2, step),
)
"""Steps (x, y) to pixels as near as the corner of the smoothing window, nearest first, equally near ones from the left
and then from the top: the choice of scipy's feature transform, hence of pysodmetrics."""

Picture = NDArray[np.float64]


def weighted_f_measure(predicted: AnyMask, truth: AnyMask, *, beta_squared: float = 1.0) -> float:
    """Return weighted F of a map or mask (height, width) against a true mask, 0 to 1.

    Where the truth has no object, an empty map is right (1) and any other wrong (0); pysodmetrics gives 0 for both.
    Raises ValueError for different shapes and for pictures that could be read in two ways (`maps`).
    """
    levels, inside = read_pair(predicted, truth)
    area = int(np.count_nonzero(inside))
    if not area:
        return float(not levels.any())
    error: Picture = cv2.LUT(levels, stretched_values(levels))
    error = np.abs(error - inside, out=error)
    missed = float(_softened(error, inside).sum())
    alarmed = _false_alarms(error, inside)
    found = area - missed
    recall = found / area
    precision = found / (found + alarmed) if found + alarmed else 0.0
    below = recall + beta_squared * precision
    return (1 + beta_squared) * recall * precision / below if below else 0.0


def _softened(error: Picture, inside: NDArray[np.bool_]) -> Picture:
    """Return the errors of the object's pixels, each at most the mean error around it."""
    window = tuple(
        slice(max(int(line[0]) - _RADIUS, 0), int(line[-1]) + _RADIUS + 1)
        for line in (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    )
    error, inside = error[window], inside[window]
    spread = _spread(error, inside)
    kernel = cv2.getGaussianKernel(2 * _RADIUS + 1, _SIGMA, cv2.CV_64F)
    around = cv2.sepFilter2D(spread, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    softened: Picture = np.minimum(error[inside], around[inside])
    return softened


def _spread(error: Picture, inside: NDArray[np.bool_]) -> Picture:
    """Return the errors with those beside the object replaced by that of the nearest object pixel."""
    near = cv2.dilate(inside.view(np.uint8), np.ones((2 * _RADIUS + 1,) * 2, np.uint8)).view(np.bool_) & ~inside
    rows, columns = np.nonzero(near)
    padded = np.pad(inside, 4)
    spread = error.copy()
    for x, y in _NEIGHBOURS:
        hit = padded[rows + 4 + y, columns + 4 + x]
        spread[rows[hit], columns[hit]] = error[rows[hit] + y, columns[hit] + x]
        rows, columns = rows[~hit], columns[~hit]
    return spread


def _false_alarms(error: Picture, inside: NDArray[np.bool_]) -> float:
    """Return the errors outside the object, summed with their weights of 1 to 2."""
    wrong = (error > 0) & ~inside
    if not wrong.any():
        return 0.0
    far = cv2.distanceTransform((~inside).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[wrong]
    return float(error[wrong] @ (2 - np.exp(np.log(0.5) / _HALF_LIFE * far.astype(np.float64))))
