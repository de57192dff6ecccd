"""Score one mask a picture: gIoU and cIoU, of ReasonSeg and the RefCOCO family (see `evals.metrics.referring`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.benchmarks.base import Measure, Row
from evals.datasets.base import Sample
from evals.metrics.intervals import wilson
from evals.metrics.overlap import AnyMask
from evals.metrics.referring import Overlap, count_overlap, score_referring
from graphs.endings import Ending
from graphs.episode import EpisodeResult
from tools.segmenters.base import Mask


@dataclass(frozen=True)
class ReferringScorer:
    """Compare the union of the answered masks with the union of the true ones, pixels to be ignored left out.

    `empty_union` is the IoU of two empty masks: 1 by LISA, 0 by VisionReasoner and Seg-R1.
    """

    empty_union: float = 1.0

    @property
    def counts(self) -> str:
        """How failures and empty truths count."""
        return (
            "Every sample counts: without an answer, or where no mask could be cut, its IoU is 0 and its union the "
            f"whole truth; “absent” is an empty mask, and two empty masks have an IoU of {self.empty_union:g}. What "
            "could not be run at all has an IoU of 0, and no union: cIoU is of the others."
        )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a sample that could not be read."""
        return {"intersection": 0.0, "union": 0.0, "failed": 1.0}

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return the IoU, and the pixels in both masks and in either."""
        truth = union(sample.masks(0), like=sample.media[0][..., 0])
        overlap = count_overlap(answered_mask(result, 0, like=truth), truth, sample.ignored)
        scores = {"intersection": overlap.intersection, "union": overlap.union, "failed": float(overlap.failed)}
        return overlap.iou(self.empty_union), scores

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute gIoU, cIoU and the share of IoUs above 0.5, of all samples and of each group.

        What could not be read has no group, and counts among all.
        """
        groups = sorted({row.group for row in rows} - {""})
        some = self._measure(rows, "")
        for group in groups if len(groups) > 1 else []:
            some += self._measure([row for row in rows if row.group == group], group)
        return some

    def _measure(self, rows: Sequence[Row], group: str) -> list[Measure]:
        overlaps = [_overlap(row) for row in rows]
        found = score_referring(overlaps, empty_union=self.empty_union)
        right = sum(overlap.iou(self.empty_union) > 0.5 for overlap in overlaps)
        return [
            Measure("gIoU", found.giou, found.n, found.giou_ci95, group),
            Measure("cIoU", found.ciou, found.n, found.ciou_ci95, group),
            Measure("IoU > 0.5", right / found.n, found.n, wilson(right, found.n), group),
        ]


def answered_mask(result: EpisodeResult, frame: int, *, like: AnyMask) -> Mask | None:
    """Return all answered objects of a frame in one mask, empty if the answer is "absent", None without an answer."""
    if result.ending is Ending.FOUND:
        return result.masks.union(frame)
    return np.zeros(like.shape, np.bool_) if result.ending is Ending.ABSENT else None


def union(masks: Iterable[Mask], *, like: AnyMask) -> Mask:
    """Return masks in one, boolean and of the shape of `like`; empty if there are none."""
    found = np.zeros(like.shape, np.bool_)
    for mask in masks:
        found |= mask
    return found


def _overlap(row: Row) -> Overlap:
    scores = row.scores
    return Overlap(int(scores["intersection"]), int(scores["union"]), failed=bool(scores["failed"]))
