"""Masks as COCO annotates them: polygons, or run lengths, compressed or not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco

from tools.errors import InputError, boundary
from tools.segmenters.base import Mask

_LEAST = 6
"""Numbers of the smallest polygon; pycocotools takes four for a box."""


def annotated_mask(segmentation: Any, height: int, width: int) -> Mask:
    """Draw an annotation's `segmentation` on a picture: a mask, bool (height, width), of all its parts together.

    It is a list of polygons (x, y, x, y, …), a run-length encoding, or a list of those; an empty one is an empty mask.
    InputError for anything else, and for run lengths of another size.
    """
    parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
    with boundary(InputError, "an annotation is neither polygons nor run lengths", remedy="Download the file again."):
        polygons = [[float(number) for number in part] for part in parts if not isinstance(part, Mapping)]
        rles = [_compressed(part) for part in parts if isinstance(part, Mapping)]
        if areas := [polygon for polygon in polygons if len(polygon) >= _LEAST]:
            rles += coco.frPyObjects(areas, height, width)
        if not rles:
            return np.zeros((height, width), np.bool_)
        mask = coco.decode(coco.merge(rles))
    if mask.shape != (height, width):
        raise InputError(
            f"run lengths are of {mask.shape[1]}x{mask.shape[0]} pixels, the picture of {width}x{height}.",
            remedy="Download the file again.",
        )
    return np.asarray(mask, np.bool_)


def _compressed(rle: Mapping[str, Any]) -> Any:
    """Return run lengths as pycocotools takes them: it wants bytes, JSON has text or a list of numbers."""
    counts, (height, width) = rle["counts"], rle["size"]
    if isinstance(counts, list):
        return coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts}
