"""Pictures: decode files, Pillow images and arrays to RGB uint8, after a look at their size."""

from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from tools.errors import MediaError, boundary
from tools.image_store import Image
from tools.media.base import SHRINK, Limits

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Picture formats that are decoded; every other decoder stays switched off."""

_DAMAGED = "Check that the file is complete, or convert it to PNG."


def open_header(path: Path, limits: Limits) -> PIL.Image.Image | None:
    """Open a picture file without decoding it; None if it is in none of `FORMATS`.

    Raises MediaError if the header is damaged or promises more pixels than allowed.
    """
    try:
        with boundary(MediaError, f"cannot read {path.name}", remedy=_DAMAGED):
            picture = _open(path, limits)
    except MediaError as error:
        if isinstance(error.__cause__, PIL.UnidentifiedImageError):
            return None
        raise
    limits.check_frame(picture.width, picture.height, path.name)
    return picture


def decode_file(path: Path, limits: Limits) -> Image:
    """Decode a picture file to RGB uint8 (height, width, 3), upright by its EXIF orientation."""
    picture = open_header(path, limits)
    if picture is None:
        raise MediaError(f"{path.name} is no picture that can be read.", remedy=f"Give one of {', '.join(FORMATS)}.")
    with picture:
        return from_pillow(picture, path.name, limits)


def upright_size(picture: PIL.Image.Image) -> tuple[int, int]:
    """Return width and height in pixels after EXIF orientation, without decoding."""
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (picture.height, picture.width) if turned else (picture.width, picture.height)


def from_pillow(picture: PIL.Image.Image, name: str, limits: Limits) -> Image:
    """Convert a Pillow image of any mode to RGB uint8 (height, width, 3); transparency is laid over white."""
    limits.check_frame(picture.width, picture.height, name)
    with boundary(MediaError, f"cannot decode {name}", remedy=_DAMAGED):
        picture = PIL.ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip it to white
            return from_array((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8), name, limits)
        if picture.has_transparency_data:
            return _over_white(np.asarray(picture.convert("RGBA")))
        return np.array(picture.convert("RGB"), dtype=np.uint8)


def from_array(array: NDArray[np.generic], name: str, limits: Limits) -> Image:
    """Convert a uint8 array, (height, width) or (height, width, 1, 3 or 4), to RGB uint8 (height, width, 3)."""
    remedy = "Give uint8 RGB of shape (height, width, 3), 0 to 255."
    if array.dtype != np.uint8:
        raise MediaError(f"{name} is an array of {array.dtype}, not uint8.", remedy=remedy)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise MediaError(f"{name} is an array of shape {array.shape}, which is no picture.", remedy=remedy)
    limits.check_frame(array.shape[1], array.shape[0], name)
    pixels = np.asarray(array, dtype=np.uint8)
    if pixels.shape[2] == 4:
        return _over_white(pixels)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _open(path: Path, limits: Limits) -> PIL.Image.Image:
    try:
        return PIL.Image.open(path, formats=FORMATS)
    except PIL.Image.DecompressionBombError as bomb:
        raise MediaError(f"{path.name} has more pixels than the limit of {limits.max_pixels}.", remedy=SHRINK) from bomb


def _over_white(rgba: NDArray[np.uint8]) -> Image:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    blended = (rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)
