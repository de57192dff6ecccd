"""From true masks to what a reward compares with: boxes, points deep inside, and areas; units are 0..1000 of the frame.

Two conventions are in use, and they are up to one pixel apart. `edge_truth`: the far edges of a box are exclusive and a
point lies on a pixel's centre, as in the rest of this project. `pixel_truth`: a box ends on its last pixel and a point
is the index of a pixel, as Seg-ReSearch publishes it.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from rl.rewards.base import FrameTruth, ObjectTruth
from tools.segmenters.base import Mask
from tools.segmenters.prompts import box_of

UNITS = 1000
"""Both sides of a frame, in units."""


def inner_pixel(mask: Mask, *, padded: bool = True) -> tuple[int, int]:
    """Return x and y of the pixel of a mask (height, width) farthest from any pixel outside; the first of equals.

    Padded, the outside begins beyond the frame too, so that the point of an object which the frame cuts is not on the
    cut. Unpadded is how Seg-ReSearch chose its points (scipy's transform: of a full mask it is the last pixel).
    The distance is the exact Euclidean one. ValueError for an empty mask.
    """
    x1, y1, x2, y2 = _extent(mask)
    height, width = mask.shape
    if not padded and mask.all():
        return width - 1, height - 1
    # Nothing outside the box is nearer than the ring of pixels around it, so the transform need not see more than that.
    rows, columns = _ring(y1, y2, height, padded), _ring(x1, x2, width, padded)
    window = np.pad(mask[y1:y2, x1:x2], (rows, columns)).astype(np.uint8)
    depth = cv2.distanceTransform(window, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squares of distances are whole numbers: rounding them makes equals equal again, which OpenCV's last bit need not.
    squares = np.rint(depth.astype(np.float64) ** 2)
    row, column = np.unravel_index(int(squares.argmax()), squares.shape)
    return x1 + int(column) - columns[0], y1 + int(row) - rows[0]


def edge_truth(mask: Mask) -> ObjectTruth:
    """Measure a mask (height, width) in rounded units, the far edges of its box exclusive.

    The box is at least one unit wide and high. ValueError for an empty mask.
    """
    height, width = mask.shape
    x1, y1, x2, y2 = _extent(mask)
    x, y = inner_pixel(mask)
    return in_units((x1 / width, y1 / height, x2 / width, y2 / height), ((x + 0.5) / width, (y + 0.5) / height))


def in_units(box: tuple[float, float, float, float], point: tuple[float, float]) -> ObjectTruth:
    """Round a box and a point of 0..1 to units as an answer spells them: never an empty box."""
    left, top, right, bottom = (round(value * UNITS) for value in box)
    left, top = min(left, UNITS - 1), min(top, UNITS - 1)
    corners = float(left), float(top), float(max(right, left + 1)), float(max(bottom, top + 1))
    return ObjectTruth(corners, (float(round(point[0] * UNITS)), float(round(point[1] * UNITS))))


def pixel_truth(mask: Mask, *, padded: bool = True) -> ObjectTruth:
    """Measure a mask (height, width) as Seg-ReSearch does: rounded units of pixel indices, the far ends inclusive.

    Only the published point is not padded. ValueError for an empty mask.
    """
    height, width = mask.shape
    x1, y1, x2, y2 = _extent(mask)
    x, y = inner_pixel(mask, padded=padded)
    left, top, right, bottom, across, down = (
        float(round(index / size * UNITS))
        for index, size in zip((x1, y1, x2 - 1, y2 - 1, x, y), (width, height) * 3, strict=True)
    )
    return ObjectTruth((left, top, right, bottom), (across, down))


def largest_component(mask: Mask) -> int:
    """Count the pixels of the largest 8-connected component of a mask (height, width); 0 if it is empty."""
    if not mask.any():
        return 0
    x1, y1, x2, y2 = _extent(mask)  # the rest of the frame is empty, and costs most of the time
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask[y1:y2, x1:x2].astype(np.uint8), connectivity=8)
    return int(stats[1:, cv2.CC_STAT_AREA].max())


def frame_truths(
    masks: Mapping[int, Mask], measure: Callable[[Mask], ObjectTruth] = edge_truth
) -> dict[int, FrameTruth]:
    """Measure one object's masks on the frames shown; frames on which it cannot be seen are left out.

    Areas are parts of the largest among the frames given.
    """
    seen = {frame: mask for frame, mask in masks.items() if mask.any()}
    areas = {frame: int(np.count_nonzero(mask)) for frame, mask in seen.items()}
    parts = {frame: largest_component(mask) for frame, mask in seen.items()}
    return {
        frame: FrameTruth((measure(mask),), areas[frame] / max(areas.values()), parts[frame] / max(parts.values()))
        for frame, mask in seen.items()
    }


def _extent(mask: Mask) -> tuple[int, int, int, int]:
    box = box_of(mask)
    if box is None:
        raise ValueError("an empty mask has no box and no point")
    return int(box[0]), int(box[1]), int(box[2]), int(box[3])


def _ring(low: int, high: int, end: int, padded: bool) -> tuple[int, int]:
    """Return how many pixels outside to see on either side of low..high: none beyond the frame, unless padded."""
    return int(padded or low > 0), int(padded or high < end)
