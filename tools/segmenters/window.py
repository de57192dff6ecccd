"""The square window around a prompt that the small SAM 2 looks at instead of the whole picture.

Knows geometry only. Training cuts its crops by the same rule (`rl/segmenter/prompts.py`; a test holds them together),
so that what the model was taught on is what it sees.
A window is a square of whole pixels in the original picture; it may leave the picture, and what lies outside is
filled with one colour that normalises to about zero. Points are continuous: pixel (i, j) covers x from j to
j + 1 and y from i to i + 1.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tools.image_store import Image
from tools.segmenters.base import Box, Mask

OUTSIDE = (124, 116, 104)
"""RGB fill outside the picture: the ImageNet mean, so that the network sees zeros there."""

MIN_SIDE = 32
"""Shortest window side in pixels: a tiny box still comes with some surroundings."""


@dataclass(frozen=True)
class Window:
    """A square of `side` pixels whose top left corner is (x, y) in the original picture; it may leave the picture."""

    x: int
    y: int
    side: int

    def cut(self, image: Image, size: int) -> Image:
        """Return the window's content, RGB uint8 (size, size, 3): averaged when it shrinks, bilinear when it grows."""
        return _place(self, image, size, OUTSIDE)

    def cut_mask(self, mask: Mask, size: int) -> Mask:
        """Return a boolean mask (height, width) as this window shows it, (size, size); outside the picture False."""
        return _place(self, mask.astype(np.uint8) * 255, size, (0, 0, 0)) >= 128

    def to_crop(self, points: ArrayLike, size: int) -> NDArray[np.float32]:
        """Map x, y points (..., 2) of the original picture to pixels of the (size, size) crop."""
        shifted = np.asarray(points, dtype=np.float64) - (self.x, self.y)
        return (shifted * (size / self.side)).astype(np.float32)

    def from_crop(self, points: ArrayLike, size: int) -> NDArray[np.float32]:
        """Map x, y points (..., 2) of the (size, size) crop back to pixels of the original picture."""
        back = np.asarray(points, dtype=np.float64) * (self.side / size) + np.array((self.x, self.y))
        return np.asarray(back, dtype=np.float32)

    def box_to_crop(self, box: Box, size: int) -> Box:
        """Map a box of the original picture to pixels of the (size, size) crop."""
        (x1, y1), (x2, y2) = self.to_crop([box[:2], box[2:]], size).tolist()
        return x1, y1, x2, y2

    def paste(self, mask_logits: NDArray[np.floating], height: int, width: int) -> Mask:
        """Return the boolean mask (height, width) of the original picture from logits (h, w) that span this window.

        Logits are interpolated linearly between their cell centres, then cut at 0; outside the window it is False.
        Only the visible part is ever computed, so a huge window costs no more than the picture.
        """
        mask = np.zeros((height, width), dtype=np.bool_)
        top, bottom, left, right = _visible(self, height, width)
        if top >= bottom or left >= right:
            return mask
        logits = np.asarray(mask_logits, dtype=np.float32)
        rows = _linear_weights(top - self.y, bottom - self.y, self.side, logits.shape[0])
        columns = _linear_weights(left - self.x, right - self.x, self.side, logits.shape[1])
        mask[top:bottom, left:right] = (rows @ logits @ columns.T) > 0
        return mask


def window_for(box: Box, window: float, *, minimum: int = MIN_SIDE) -> Window:
    """Return the window centred on `box` (pixels): side = `window` times the longer box side.

    The side is at least `minimum` pixels; the window may leave the picture.
    """
    x1, y1, x2, y2 = box
    side = max(minimum, 1, round(window * max(x2 - x1, y2 - y1)))
    return Window(x=round((x1 + x2 - side) / 2), y=round((y1 + y2 - side) / 2), side=side)


def whole_picture(height: int, width: int) -> Window:
    """Return the smallest centred window that shows the whole picture."""
    side = max(height, width)
    return Window(x=(width - side) // 2, y=(height - side) // 2, side=side)


def _visible(window: Window, height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of the part of the window inside a (height, width) picture."""
    top, bottom = max(0, window.y), min(height, window.y + window.side)
    left, right = max(0, window.x), min(width, window.x + window.side)
    return top, bottom, left, right


def _place(window: Window, pixels: Image, size: int, fill: tuple[int, int, int]) -> Image:
    """Resize the visible pixels to the crop's scale, then shift them (to 1/32 pixel) to where they belong."""
    top, bottom, left, right = _visible(window, pixels.shape[0], pixels.shape[1])
    channels = pixels.shape[2:]
    if top >= bottom or left >= right:
        return np.full((size, size, *channels), fill if channels else fill[0], dtype=np.uint8)
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    scale = size / window.side
    rows, columns = max(1, round((bottom - top) * scale)), max(1, round((right - left) * scale))
    resized = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if bottom - top == right - left == window.side:  # the whole window is visible, so nothing was rounded
        return np.asarray(resized, dtype=np.uint8)
    # Rounding to whole crop pixels would stretch the part a little; the affine map undoes that exactly.
    stretch_x, stretch_y = (right - left) * scale / columns, (bottom - top) * scale / rows
    shift_x, shift_y = (left - window.x) * scale, (top - window.y) * scale
    affine = np.array(
        [[stretch_x, 0, shift_x + 0.5 * stretch_x - 0.5], [0, stretch_y, shift_y + 0.5 * stretch_y - 0.5]]
    )
    placed = cv2.warpAffine(resized, affine, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    centres = (np.arange(size) + 0.5) / scale
    x, y = centres + window.x, centres + window.y
    placed[(y < 0) | (y >= pixels.shape[0])] = fill if channels else fill[0]
    placed[:, (x < 0) | (x >= pixels.shape[1])] = fill if channels else fill[0]
    return np.asarray(placed, dtype=np.uint8)


def _linear_weights(start: int, stop: int, side: int, cells: int) -> NDArray[np.float32]:
    """Return the (stop - start, cells) matrix that interpolates `cells` values spread over `side` pixels.

    Row k gives pixel start + k; beyond the outermost cell centres the edge value holds.
    """
    centres = (np.arange(start, stop) + 0.5) * (cells / side) - 0.5
    centres = centres.clip(0, cells - 1)
    lower = np.minimum(np.floor(centres).astype(np.intp), max(cells - 2, 0))
    upper = np.minimum(lower + 1, cells - 1)
    fraction = centres - lower
    weights = np.zeros((stop - start, cells), dtype=np.float32)
    rows = np.arange(stop - start)
    weights[rows, lower] += 1 - fraction
    weights[rows, upper] += fraction
    return weights
