"""How far an object moved between two frames, from the optical flow of its own texture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.image_store import Image
from tools.segmenters.base import Mask

Vector = NDArray[np.float64]
"""x, y in pixels a frame."""

_LONG_SIDE = 480
"""Flow is computed on frames shrunk to this many pixels: enough for a box, and large steps stay within reach."""

_MIN_POINTS = 4
_WINDOW = (15, 15)


class Flow:
    """The flow between one frame and the next, RGB uint8 (height, width, 3), for any object of the first."""

    def __init__(self, before: Image, after: Image) -> None:
        self._scale = min(1.0, _LONG_SIDE / max(before.shape[:2]))
        self._before, self._after = self._grey(before), self._grey(after)

    def of(self, mask: Mask) -> Vector | None:
        """Return the median motion (2,) of the texture under `mask` (of the first frame); None if it cannot be told."""
        height, width = self._before.shape
        region = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        points = cv2.goodFeaturesToTrack(self._before, 60, 0.01, 3, mask=region)
        if points is None or len(points) < _MIN_POINTS:
            return None
        there, found, _ = cv2.calcOpticalFlowPyrLK(self._before, self._after, points, None, winSize=_WINDOW)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(self._after, self._before, there, None, winSize=_WINDOW)
        # A point that does not find its way back was covered or lost.
        error = np.linalg.norm((back - points).reshape(-1, 2), axis=1)
        good = (found.ravel() == 1) & (returned.ravel() == 1) & (error < 1.0)
        if good.sum() < max(_MIN_POINTS, len(points) // 4):
            return None
        return np.asarray(np.median((there - points).reshape(-1, 2)[good], axis=0) / self._scale, dtype=np.float64)

    def _grey(self, image: Image) -> NDArray[np.uint8]:
        height, width = image.shape[:2]
        size = max(1, round(width * self._scale)), max(1, round(height * self._scale))
        return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))
