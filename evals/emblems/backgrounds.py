"""Muted textured backgrounds, so that emblems stand out by colour and cutting them out is still work."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.image_store import Image

SIDE = 448
COUNT = 96
_SEED = 0xE3B


@lru_cache(maxsize=COUNT)
def background(number: int) -> Image:
    """Draw background `number` (0 to COUNT - 1): RGB uint8 (448, 448, 3), the same picture at each call."""
    rng = np.random.default_rng((_SEED, number))
    base = rng.uniform(70, 170) + rng.uniform(-14, 14, 3)
    picture: NDArray[np.floating[Any]] = np.broadcast_to(base, (SIDE, SIDE, 3)).astype(np.float32)
    for cells, strength in ((3, 22), (9, 14), (40, 9)):
        coarse = rng.normal(0, 1, (cells, cells, 1)) + rng.normal(0, 0.3, (cells, cells, 3))
        picture = picture + strength * cv2.resize(
            coarse.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
        )
    if number % 3 == 0:
        picture = picture + _lines(rng)
    picture = picture + rng.normal(0, rng.uniform(1, 6), (SIDE, SIDE, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _lines(rng: np.random.Generator) -> NDArray[np.float32]:
    canvas = np.zeros((SIDE, SIDE, 1), np.float32)
    for _ in range(int(rng.integers(6, 16))):
        ends = rng.integers(0, SIDE, 4)
        shade, width = float(rng.uniform(-26, 26)), int(rng.integers(2, 9))
        cv2.line(canvas, (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3])), shade, width, cv2.LINE_AA)
    return canvas
