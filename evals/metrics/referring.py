"""gIoU and cIoU of referring and reasoning segmentation (RefCOCO, ReasonSeg), as LISA (CVPR 2024) defines them.

gIoU is the mean of the samples' IoU (nothing to do with the generalised IoU of boxes), cIoU all intersections over all
unions, so that large objects count more. Every sample counts, and one that failed is a zero.

Published code differs, mostly where a truth is empty: LISA gives an empty answer to it 1, VisionReasoner and Seg-R1
give 0 (VisionReasoner's script for absent objects 1 if no box is answered either), Seg-Zero's formula says 0 but its
reader loses such samples: `empty_union` says which. LISA leaves ignored pixels out; Seg-Zero's data turn them into
object, Seg-R1 into background. Seg-Zero also leaves out samples whose segmenter failed. LISA adds 1e-5 to each union,
which is left out here. For boxes ("AP" of RefCOCO) Seg-Zero takes the best of all boxes and their hull, so that more
boxes are free; no such score is here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.intervals import Interval, bootstrap_sums
from evals.metrics.overlap import AnyMask, as_mask

IGNORE = 255
"""LISA's label of pixels that do not count."""


@dataclass(frozen=True)
class Overlap:
    """Pixels of one sample in both masks and in either; `failed` if there was no answer to compare."""

    intersection: int
    union: int
    failed: bool = False

    def iou(self, empty_union: float = 1.0) -> float:
        """Return the IoU, 0 if the sample failed, `empty_union` if both masks are empty."""
        if self.failed:
            return 0.0
        return self.intersection / self.union if self.union else empty_union


@dataclass(frozen=True)
class ReferringScore:
    """gIoU and cIoU of `n` samples, `failures` of them failed, with 95 % intervals over samples; all 0 to 1."""

    n: int
    failures: int
    giou: float
    giou_ci95: Interval
    ciou: float
    ciou_ci95: Interval


def split_ignored(labels: AnyMask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (object, ignored) of a label picture (height, width) of 0, 1 and 255, in which 255 does not count.

    Raises ValueError for other labels. Not for masks of 0 and 255: nothing tells those from an ignored region.
    """
    found, ignored = labels == 1, labels == IGNORE
    if not (found | ignored | (labels == 0)).all():
        raise ValueError(f"labels are 0, 1 and {IGNORE}, these go from {labels.min()} to {labels.max()}")
    return found, ignored


def count_overlap(predicted: AnyMask | None, truth: AnyMask, ignored: AnyMask | None = None) -> Overlap:
    """Count one sample: masks (height, width), non-zero is inside; None where no answer could be read or cut.

    A failure has the whole truth as its union. Pixels that are `ignored` are left out. Raises ValueError for masks of
    different shapes.
    """
    there = as_mask(truth)
    counting = None if ignored is None else ~as_mask(ignored)
    if counting is not None:
        if counting.shape != there.shape:
            raise ValueError(f"a truth and ignored pixels of different shapes, {there.shape} and {counting.shape}")
        there = there & counting
    if predicted is None:
        return Overlap(0, int(np.count_nonzero(there)), failed=True)
    ours = as_mask(predicted)
    if ours.shape != there.shape:
        raise ValueError(f"masks of different shapes, {ours.shape} and {there.shape}")
    if counting is not None:
        ours = ours & counting
    both = int(np.count_nonzero(ours & there))
    return Overlap(both, int(np.count_nonzero(ours)) + int(np.count_nonzero(there)) - both)


def score_referring(overlaps: Sequence[Overlap], *, empty_union: float = 1.0, seed: int = 0) -> ReferringScore:
    """Score all samples of a benchmark; where no sample has any pixel, cIoU is gIoU.

    `empty_union` is the IoU of two empty masks. Raises ValueError without samples.
    """
    if not overlaps:
        raise ValueError("no samples to score")
    rows = np.array([(o.intersection, o.union, o.iou(empty_union), 1) for o in overlaps], np.float64)
    total = rows.sum(axis=0)[None]
    return ReferringScore(
        n=len(overlaps),
        failures=sum(overlap.failed for overlap in overlaps),
        giou=float(_giou(total)[0]),
        giou_ci95=bootstrap_sums(rows, _giou, seed=seed),
        ciou=float(_ciou(total)[0]),
        ciou_ci95=bootstrap_sums(rows, _ciou, seed=seed),
    )


def _giou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = sums[:, 2] / sums[:, 3]
    return mean


def _ciou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums[:, 0], sums[:, 1], out=_giou(sums), where=sums[:, 1] > 0)
