"""The last outline in which a tracked object was seen whole: is this it again, and where would all of it lie?"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.segmenters.base import Mask
from tools.segmenters.prompts import box_of

_SIDE = 24


class Outline:
    """One mask within its box, remembered."""

    def __init__(self, mask: Mask) -> None:
        """Take the outline of a mask (height, width) in which something is set."""
        self._part = _within_box(mask)
        self._square = _square(self._part)

    def likeness(self, mask: Mask) -> float:
        """Return how much of the outlines agree, 0 to 1 (IoU), whatever their sizes and places."""
        seen = _square(_within_box(mask))
        return float(np.minimum(seen, self._square).sum() / max(1e-6, float(np.maximum(seen, self._square).sum())))

    def placed(self, centre: NDArray[np.float64], shape: tuple[int, ...], slack: float) -> Mask:
        """Return this outline as a mask of `shape`, its box centred on `centre` (x, y in pixels).

        It is widened all round by `slack` of its longer side; what lies beyond the picture is left out.
        """
        width = max(1, round(slack * max(self._part.shape)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
        template = cv2.dilate(np.pad(self._part.astype(np.uint8), width), disc)
        rows, columns = template.shape
        x, y = round(float(centre[0]) - columns / 2), round(float(centre[1]) - rows / 2)
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + columns, shape[1]), min(y + rows, shape[0])
        mask = np.zeros(shape, dtype=np.bool_)
        if left < right and top < bottom:
            mask[top:bottom, left:right] = template[top - y : bottom - y, left - x : right - x] > 0
        return mask


def _within_box(mask: Mask) -> Mask:
    left, top, right, bottom = (int(edge) for edge in box_of(mask) or (0, 0, 1, 1))
    return mask[top:bottom, left:right].copy()


def _square(part: Mask) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(part.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.float32)
