"""Draw what was found over a frame: masks in colour with their outline, boxes, and labels that can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from tools.image_store import Image
from tools.segmenters.base import Box, Mask

Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (230, 25, 75),
    (0, 130, 200),
    (245, 130, 48),
    (60, 180, 75),
    (145, 30, 180),
    (0, 160, 160),
    (240, 50, 230),
    (170, 110, 40),
)
"""Colours that are told apart on most pictures, RGB; they repeat after eight instances."""

_OPACITY = 0.5
_LABEL_CHARS = 48


@dataclass(frozen=True)
class Mark:
    """One instance in one frame: boolean mask (height, width), box in pixels, label; what is missing is not drawn."""

    mask: Mask | None
    box: Box | None
    label: str
    colour: Colour


def draw_overlay(image: Image, marks: Sequence[Mark]) -> Image:
    """Return a copy of an RGB picture, uint8 (height, width, 3), with the marks over it."""
    drawn = image.copy()
    width = max(1, round(max(image.shape[:2]) / 400))
    for mark in marks:
        if mark.mask is not None and mark.mask.any():
            _lay_mask(drawn, mark.mask, mark.colour, width)
    picture = PIL.Image.fromarray(drawn)
    pen = PIL.ImageDraw.Draw(picture)
    for mark in marks:
        if mark.box is not None:
            pen.rectangle(_inside(mark.box, picture.size), outline=mark.colour, width=width)
    for mark in marks:
        if mark.box is not None and mark.label:
            _write_label(pen, mark, picture.size)
    return np.asarray(picture, dtype=np.uint8)


def short_label(text: str) -> str:
    """Return a label on one line, cut to what fits a picture, with nothing that cannot be shown."""
    line = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return line if len(line) <= _LABEL_CHARS else line[: _LABEL_CHARS - 1] + "…"


def _lay_mask(image: Image, mask: Mask, colour: Colour, width: int) -> None:
    """Tint the masked pixels and draw their outline, white below the colour so that it stands out; in place."""
    tint = np.array(colour, np.float32) * _OPACITY
    image[mask] = (image[mask] * (1 - _OPACITY) + tint).astype(np.uint8)
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outline, -1, (255, 255, 255), width + 2)
    cv2.drawContours(image, outline, -1, colour, width)


def _inside(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the box with inclusive edges, within a picture of width and height `size`."""
    x1, y1, x2, y2 = box
    left, top = min(max(x1, 0), size[0] - 1), min(max(y1, 0), size[1] - 1)
    return left, top, max(left, min(x2, size[0]) - 1), max(top, min(y2, size[1]) - 1)


def _write_label(pen: PIL.ImageDraw.ImageDraw, mark: Mark, size: tuple[int, int]) -> None:
    """Write the label on its colour above the box, or inside it at the picture's upper edge."""
    assert mark.box is not None
    font = _font(max(12, round(max(size) / 32)))
    text = mark.label
    while pen.textlength(text, font=font) > size[0] - 8 and len(text) > 4:
        text = text[:-2] + "…"
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    wide, high, pad = right - left, bottom - top, 4
    x1, y1, _, _ = _inside(mark.box, size)
    x = min(x1, max(0, size[0] - wide - 2 * pad))
    y = y1 - high - 2 * pad if y1 >= high + 2 * pad else y1
    pen.rectangle((x, y, x + wide + 2 * pad, y + high + 2 * pad), fill=mark.colour)
    pen.text((x + pad - left, y + pad - top), text, fill=(255, 255, 255), font=font)


@lru_cache(maxsize=8)
def _font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    return PIL.ImageFont.load_default(size)
