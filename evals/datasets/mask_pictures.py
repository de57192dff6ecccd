"""Masks that data sets keep as pictures, in whatever values, mode and scale they come."""

from pathlib import Path

import cv2
import numpy as np

from tools.errors import MediaError, boundary
from tools.media import Limits
from tools.media.images import from_pillow, open_header
from tools.segmenters.base import Mask


def read_mask(path: Path) -> Mask:
    """Read a mask picture as boolean (height, width), by its brightest channel; MediaError if it cannot be read.

    Where nothing is brighter than 1 the values are 0 and 1, and 1 is foreground. Else 128 and above is: exact for 0 and
    255, and the middle for grey edges, which resampling or JPEG (DIS5K after Seg-R1's own preparation) leave.
    """
    picture = open_header(path, Limits())
    if picture is None:
        raise MediaError(f"the mask {path} is no picture.", remedy="Unpack the data set again.")
    with picture, boundary(MediaError, f"the mask {path} cannot be read", remedy="Unpack the data set again."):
        # Without its transparency, which would be laid over white, and white is foreground.
        opaque = picture.convert("RGB") if picture.has_transparency_data else picture
        values = from_pillow(opaque, path.name, Limits()).max(axis=2)
    return np.asarray(values > 0 if values.max() <= 1 else values >= 128, np.bool_)


def fit_mask(mask: Mask, height: int, width: int, path: Path) -> Mask:
    """Resample a mask to its picture's size if only the scale differs, as for a few published ones; else MediaError."""
    if mask.shape == (height, width):
        return mask
    if abs(mask.shape[0] * width - mask.shape[1] * height) > 0.01 * mask.shape[0] * width:
        raise MediaError(
            f"the mask {path} has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}.",
            remedy="Remove the pair, or turn the picture as the mask is.",
        )
    fitted = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(fitted, np.bool_)
