"""How pictures are made square and clips are thinned: the same functions in training and serving."""

import cv2
import numpy as np

from tools.image_store import Image


def resize_square(image: Image, side: int) -> Image:
    """Return the RGB picture (height, width, 3) stretched to (side, side, 3), uint8; the aspect ratio is not kept.

    Averages areas when neither side grows, else interpolates linearly. Deterministic; changing it invalidates
    every policy trained with it.
    """
    height, width = image.shape[:2]
    if (height, width) == (side, side):
        return image
    shrinks = side <= min(height, width)
    resized = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def sample_frames(count: int, wanted: int) -> list[int]:
    """Return `wanted` indices spread evenly over `count` frames, first and last included; all if there are fewer."""
    if wanted >= count:
        return list(range(count))
    if wanted <= 1:
        return [0] * max(wanted, 0)
    return [round(index) for index in np.linspace(0, count - 1, wanted).tolist()]
