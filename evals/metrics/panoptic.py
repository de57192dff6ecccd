"""Matching of panoptic segments, from which PQ follows (Kirillov et al., CVPR 2019), by the rules of COCO's evaluator.

A predicted and a true segment of one class match if their IoU is above 0.5, where predicted pixels on void do not
count. A crowd is never matched nor missed; an unmatched prediction is no false alarm if more than half of it lies on
void or on crowds of its class. COCO's evaluator knows only the last crowd of a class in a picture, here all count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.overlap import AnyMask

VOID = 0
"""The id of pixels that belong to no segment."""
_MOST_ID = 2**24
"""Ids are those that a picture of three bytes a pixel can hold."""

Counts = NDArray[np.float64]
"""Of each class, (4, classes): the IoUs of matches summed, matches, false alarms, misses."""


@dataclass(frozen=True)
class Segment:
    """A segment of a panoptic picture: its id there, its class from 0, and whether it is a crowd (in a truth only)."""

    id: int
    category: int
    crowd: bool = False


@dataclass(frozen=True)
class Panoptic:
    """A panoptic picture: ids (height, width), any integers from 0 (void) to 2**24 - 1, and the segments they name."""

    ids: AnyMask
    segments: Sequence[Segment]


def count_segments(predicted: Panoptic, truth: Panoptic, classes: int) -> Counts:
    """Match the segments of one picture; see `Counts`.

    Raises ValueError for different shapes, for ids without a segment and segments without pixels, and for categories
    beyond `classes`.
    """
    if predicted.ids.shape != truth.ids.shape:
        raise ValueError(f"panoptic pictures of different shapes, {predicted.ids.shape} and {truth.ids.shape}")
    # Row and column 0 are void.
    shared = _shared_pixels(
        _number(truth, "truth", classes), _number(predicted, "prediction", classes), truth, predicted
    )
    areas = shared[1:].sum(axis=1, keepdims=True), shared[:, 1:].sum(axis=0)
    theirs, crowd = (np.array([getattr(s, name) for s in truth.segments], int) for name in ("category", "crowd"))
    ours = np.array([segment.category for segment in predicted.segments], int)
    same = theirs[:, None] == ours
    pairs = shared[1:, 1:]
    iou = pairs / np.maximum(areas[0] + areas[1] - pairs - shared[0, 1:], 1)
    matched = same & (crowd[:, None] == 0) & (iou > 0.5)
    forgiven = shared[0, 1:] + (pairs * (same & (crowd[:, None] == 1))).sum(axis=0) > areas[1] / 2
    alarmed = ~matched.any(axis=0) & ~forgiven
    missed = ~matched.any(axis=1) & (crowd == 0)
    rows, columns = np.nonzero(matched)
    return np.stack(
        [
            np.bincount(theirs[rows], iou[rows, columns], classes),
            np.bincount(theirs[rows], minlength=classes),
            np.bincount(ours[alarmed], minlength=classes),
            np.bincount(theirs[missed], minlength=classes),
        ]
    ).astype(np.float64)


def _number(picture: Panoptic, name: str, classes: int) -> NDArray[np.int32]:
    """Return the table from ids to rows: 0 void, then the segments in order; check that they name the same things."""
    ids = picture.ids
    if not (
        ids.ndim == 2 and ids.size and np.issubdtype(ids.dtype, np.integer) and 0 <= ids.min() <= ids.max() < _MOST_ID
    ):
        raise ValueError(f"the ids of the {name} are a picture of integers from 0 to {_MOST_ID - 1}")
    listed = [segment.id for segment in picture.segments]
    if len(set(listed)) < len(listed) or not all(0 < one < _MOST_ID for one in listed):
        raise ValueError(f"the segments of the {name} need ids of their own, from 1 to {_MOST_ID - 1}")
    if not all(0 <= segment.category < classes for segment in picture.segments):
        raise ValueError(f"the {name} has a category that is none of the {classes} classes")
    table = np.zeros(max([int(ids.max()), *listed]) + 1, np.int32)
    table[listed] = np.arange(1, len(listed) + 1)
    return table


def _shared_pixels(
    true_rows: NDArray[np.int32], our_rows: NDArray[np.int32], truth: Panoptic, predicted: Panoptic
) -> NDArray[np.int64]:
    rows, columns = true_rows[truth.ids], our_rows[predicted.ids]
    for name, picture, numbers in (("truth", truth, rows), ("prediction", predicted, columns)):
        if not np.array_equal(numbers == 0, picture.ids == VOID):
            raise ValueError(f"the {name} has pixels whose id is not among its segments")
        if np.count_nonzero(np.bincount(numbers.ravel())[1:]) < len(picture.segments):
            raise ValueError(f"the {name} lists segments that have no pixels")
    width = len(predicted.segments) + 1
    joint = np.bincount((rows * width + columns).ravel(), minlength=(len(truth.segments) + 1) * width)
    return joint.reshape(-1, width)
