"""Reading saliency maps and their truths so that no type of picture is ever taken for an empty one.

The metrics of salient and camouflaged object detection compare a soft map with a mask. Their common library
(pysodmetrics) thresholds truths at 128 and so reads masks of 0 and 1 as empty, without a word; Seg-R1's reward did the
same. Here a truth is read by what is in it, and what could mean two things is refused.

All of these metrics but the weighted F-measure follow from how many pixels have each of 256 levels, inside and outside
the object, so maps are counted once (2 ms for 1024 x 1024) and the rest is arithmetic on 256 numbers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.metrics.overlap import AnyMask

Levels = NDArray[np.uint8]
"""A soft map (height, width), 0 to 255."""
_EXACT = 2**24
"""OpenCV's histograms are 32-bit floats, which count exactly up to here."""


@dataclass(frozen=True)
class LevelCounts:
    """How many pixels have each level: `values` are what the 256 levels stand for, 0 to 1, ascending."""

    values: NDArray[np.float64]
    inside: NDArray[np.int64]
    outside: NDArray[np.int64]

    @property
    def area(self) -> int:
        """Pixels of the object."""
        return int(self.inside.sum())

    @property
    def pixels(self) -> int:
        """Pixels of the picture."""
        return self.area + int(self.outside.sum())


def as_levels(predicted: AnyMask) -> Levels:
    """Return a map or mask (height, width) in 256 levels, as benchmarks store it.

    Bool and integers of nothing but 0 and 1 are masks; other integers are levels up to 255; floats are 0 to 1 and
    rounded to the nearest level. Raises ValueError for anything else, also for NaN and for a picture without pixels.
    """
    _check_axes(predicted)
    if predicted.dtype == np.bool_:
        return predicted.view(np.uint8) * np.uint8(255)
    low, high = predicted.min(), predicted.max()
    if np.issubdtype(predicted.dtype, np.integer) and low >= 0 and high <= 255:
        levels: Levels = predicted.astype(np.uint8, copy=False)
        return levels * np.uint8(255) if high == 1 else levels
    if np.issubdtype(predicted.dtype, np.floating) and low >= 0 and high <= 1:
        rounded: Levels = np.rint(predicted * 255).astype(np.uint8)
        return rounded
    raise ValueError(f"a map is bool, 0 to 255 or a float 0 to 1; this {predicted.dtype} goes from {low} to {high}")


def as_object(truth: AnyMask) -> NDArray[np.bool_]:
    """Return a true mask as bool: of 0 and 1 what is 1, of levels up to 255 what is above 128, as benchmarks cut it.

    Raises ValueError where that would make something into nothing: integers that reach neither 1 alone nor above 128
    (a label map, say), and for what `as_levels` refuses.
    """
    if truth.dtype == np.bool_:
        _check_axes(truth)
        return truth
    levels = as_levels(truth)
    found = levels > 128
    if levels.any() and not found.any():
        raise ValueError(f"a true mask is bool, 0 and 1, or 0 and 255; this one has {levels.max()} at most")
    return found


def stretched_values(levels: Levels) -> NDArray[np.float64]:
    """Return what each of the 256 levels stands for, 0 to 1, where the darkest of the map is 0 and the brightest 1.

    Every published evaluation of such maps stretches them so (`mapminmax` in the MATLAB originals); a map of one level
    keeps it.
    """
    values: NDArray[np.float64] = np.arange(256) / 255
    low, high = values[levels.min()], values[levels.max()]
    return np.clip((values - low) / (high - low), 0, 1) if high > low else values


def count_levels(predicted: AnyMask, truth: AnyMask) -> LevelCounts:
    """Count a map (height, width) against a true mask of the same shape; see `as_levels` and `as_object`.

    Raises ValueError for different shapes and for what those two refuse.
    """
    levels, inside = read_pair(predicted, truth)
    return LevelCounts(stretched_values(levels), *histograms(levels, inside))


def read_pair(predicted: AnyMask, truth: AnyMask) -> tuple[Levels, NDArray[np.bool_]]:
    """Return a map in levels and its truth as bool. Raises ValueError for what cannot be compared."""
    if predicted.shape != truth.shape:
        raise ValueError(f"a map and a truth of different shapes, {predicted.shape} and {truth.shape}")
    return as_levels(predicted), as_object(truth)


def histograms(levels: Levels, inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many pixels inside and outside an object have each of the 256 levels."""
    counts = np.zeros((256, 2), np.int64)
    rows = max(1, _EXACT // max(levels.shape[1], 1))
    for top in range(0, levels.shape[0], rows):
        part = slice(top, top + rows)
        channels = [levels[part], np.ascontiguousarray(inside[part]).view(np.uint8)]
        counts += cv2.calcHist(channels, [0, 1], None, [256, 2], [0, 256, 0, 2]).astype(np.int64)
    return counts[:, 1], counts[:, 0]


def _check_axes(picture: AnyMask) -> None:
    if picture.ndim != 2 or not picture.size:
        raise ValueError(f"a map has two axes and pixels, this one has the shape {picture.shape}")
