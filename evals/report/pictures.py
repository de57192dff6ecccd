"""A case as a small picture: its frame, with the answered and the true masks outlined.

Answers are solid orange, the truth is dashed blue: two colours that stay apart for the colour-blind (Okabe and Ito,
2008), and two strokes that stay apart in print. Where both outlines coincide, they alternate.
"""

import base64
import io
from collections.abc import Sequence

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tools.image_store import Image
from tools.segmenters.base import Mask

ANSWERED = (230, 159, 0)
TRUE = (86, 180, 233)
_SMALLEST, _LARGEST = 320, 480
_CASING = (0, 0, 0)
_DASH = 9.0
_SHIFT = 4
"""Bits of a pixel's fraction that OpenCV draws with."""

Points = NDArray[np.float64]
"""Corners of a line, x and y in pixels, (corners, 2)."""


def draw_case(image: Image, answered: Sequence[Mask], true: Sequence[Mask]) -> Image:
    """Return a picture whose longer side is 320 to 480 pixels, with boolean masks (height, width) outlined.

    Raises ValueError for a mask of another size than the image.
    """
    height, width = image.shape[:2]
    if any(mask.shape != (height, width) for mask in (*answered, *true)):
        raise ValueError(f"a mask is not of the picture's size, {width}x{height}")
    longest = max(height, width)
    scale = min(max(longest, _SMALLEST), _LARGEST) / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = np.ascontiguousarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    )
    _draw(canvas, [_closed(line) for mask in answered for line in _outlines(mask, scale)], ANSWERED)
    _draw(canvas, [dash for mask in true for line in _outlines(mask, scale) for dash in _dashes(_closed(line))], TRUE)
    return canvas


def encode_webp(image: Image) -> str:
    """Return a picture as the address that a page shows it by, without a file."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, format="webp", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _outlines(mask: Mask, scale: float) -> list[Points]:
    """Trace a mask's outlines, holes too, in the pixels of a picture of another size."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [(line.reshape(-1, 2) + 0.5) * scale - 0.5 for line in found]


def _closed(line: Points) -> Points:
    return np.concatenate((line, line[:1]))


def _dashes(line: Points) -> list[Points]:
    """Cut a line into dashes, with gaps of the same length between them."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    number = (np.concatenate(([0.0], np.cumsum(steps))) // _DASH).astype(np.int64)
    starts = np.flatnonzero(np.diff(number)) + 1
    return [part for part, which in zip(np.split(line, starts), number[[0, *starts]], strict=True) if which % 2 == 0]


def _draw(canvas: Image, lines: Sequence[Points], colour: tuple[int, int, int]) -> None:
    """Draw lines in a colour over a dark casing that sets them off from any picture; in place."""
    fixed = [np.round(line * 2**_SHIFT).astype(np.int32).reshape(-1, 1, 2) for line in lines]
    for stroke, width in ((_CASING, 5), (colour, 3)):
        cv2.polylines(canvas, fixed, False, stroke, width, cv2.LINE_AA, _SHIFT)
