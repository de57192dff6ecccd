"""What a tracked object looks like: its colours, remembered, so that others are told apart from it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.image_store import Image
from tools.segmenters.base import Mask
from tools.segmenters.prompts import box_of

Histogram = NDArray[np.float32]

_BINS = 12
_LEARNING_RATE = 0.1
_SEARCH_SIDE = 160
"""Frames are shrunk to this many pixels to look for a lost object."""


def colours(image: Image, mask: Mask) -> Histogram:
    """Return the smoothed RGB histogram, float32 (12, 12, 12) of sum 1, of the pixels under a mask."""
    box = box_of(mask)
    if box is None:
        return np.full((_BINS,) * 3, 1 / _BINS**3, dtype=np.float32)
    left, top, right, bottom = (int(edge) for edge in box)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    histogram = cv2.calcHist(
        [part], [0, 1, 2], mask[top:bottom, left:right].astype(np.uint8), [_BINS] * 3, [0, 256] * 3
    )
    # Neighbouring bins share: a change of light must not look like a change of object.
    for axis in range(3):
        low = np.take(histogram, np.maximum(np.arange(_BINS) - 1, 0), axis)
        high = np.take(histogram, np.minimum(np.arange(_BINS) + 1, _BINS - 1), axis)
        histogram = 0.5 * histogram + 0.25 * (low + high)
    return np.asarray(histogram / histogram.sum(), dtype=np.float32)


class Appearance:
    """An object's colours on the keyframe and as they slowly change."""

    def __init__(self, image: Image, mask: Mask) -> None:
        self._first = self._recent = colours(image, mask)

    def likeness(self, image: Image, mask: Mask) -> float:
        """Return how much the colours under `mask` are the object's: 1 the same, 0 none in common (Bhattacharyya)."""
        roots = np.sqrt(colours(image, mask))
        return max(float((roots * np.sqrt(known)).sum()) for known in (self._first, self._recent))

    def learn(self, image: Image, mask: Mask) -> None:
        """Let the recent memory follow what is surely the whole object."""
        self._recent = (1 - _LEARNING_RATE) * self._recent + _LEARNING_RATE * colours(image, mask)

    def find(
        self, image: Image, size: NDArray[np.float64], around: NDArray[np.float64], reach: float
    ) -> NDArray[np.float64] | None:
        """Return the centre x, y of the place that most has the object's colours, within `reach` pixels of `around`.

        Weighs each colour by how much more common it is on the object than in the whole frame; None if no place
        is more like the object than like the rest.
        """
        scale = min(1.0, _SEARCH_SIDE / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        common = colours(small, np.ones(small.shape[:2], dtype=np.bool_))
        weight = np.maximum(self._first, self._recent)
        weight = weight / (weight + common + 1e-6)
        bins = small.astype(np.int32) * _BINS // 256
        likely = weight[bins[..., 0], bins[..., 1], bins[..., 2]].astype(np.float32)
        kernel = np.maximum(1, np.round(size * scale).astype(int)).tolist()
        density = cv2.blur(likely, (kernel[0], kernel[1]), borderType=cv2.BORDER_CONSTANT)
        rows, columns = np.mgrid[: density.shape[0], : density.shape[1]]
        distance = np.hypot((columns + 0.5) / scale - around[0], (rows + 0.5) / scale - around[1])
        density = np.where(distance <= reach, density, 0)
        row, column = np.unravel_index(int(density.argmax()), density.shape)
        if density[row, column] < 0.3:
            return None
        return np.array([(float(column) + 0.5) / scale, (float(row) + 0.5) / scale])
