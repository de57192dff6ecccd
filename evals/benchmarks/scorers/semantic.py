"""Score a label at every pixel: mIoU with each published divisor and pixel accuracy (see `evals.metrics.semantic`).

A row keeps the counts of its own classes alone, so that a run of any vocabulary can be summed up from its rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.benchmarks.base import Cut, Measure, Row
from evals.benchmarks.scorers.sparse import dense, sparse
from evals.metrics.semantic import Counts, count_classes, score_semantic
from graphs.masks import encode_rle
from graphs.openvocab.fusion import NOTHING, LabelMap, Maps
from graphs.openvocab.vocabulary import Vocabulary
from tools.segmenters.base import Mask

MIOU = "mIoU"
OCCURRING = "mIoU, true or predicted classes"
"""With the divisor of the code that published numbers come from, an older detectron2's."""
_SHOWN = 8


@dataclass(frozen=True)
class SemanticScorer:
    """Compare maps of labels; `NOTHING` in the truth is ignored, and `nothing` is the class of what no mask covers.

    By default that is none, and such a pixel is wrong.
    """

    vocabulary: Vocabulary
    ignored: str
    nothing: int = NOTHING

    @property
    def counts(self) -> str:
        """How failures and ignored pixels count."""
        return (
            "Every picture counts: without an answer all of its pixels are wrong, and so is a pixel that nothing "
            f"covers, unless a class stands for that. Ignored: {self.ignored}. mIoU is over the classes in the truth; "
            "a picture whose labels cannot be read has no pixels to count, and is told among those without an answer."
        )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a picture that could not be labelled."""
        return {"miou": 0.0, "pixel_accuracy": 0.0}

    def score(self, truth: LabelMap, ways: Mapping[str, Maps]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """Return the scores of the first way, and the counts of all, class by class: right, true, predicted."""
        counts = {
            way: count_classes(maps.labels, truth, len(self.vocabulary), ignore=NOTHING) for way, maps in ways.items()
        }
        right, true, predicted = next(iter(counts.values()))
        iou = (right / np.maximum(true + predicted - right, 1))[true > 0]
        # A picture without a pixel that counts cannot be wrong.
        scores = {
            "miou": float(iou.mean()) if iou.size else 1.0,
            "pixel_accuracy": float(right.sum() / true.sum()) if iou.size else 1.0,
        }
        return scores, {"counts": {way: sparse(some) for way, some in counts.items()}}

    def finish(self, maps: Maps) -> Maps:
        """Return the maps of a run as they are scored."""
        labels = np.where(maps.labels == NOTHING, self.nothing, maps.labels).astype(np.int32)
        return Maps(labels, maps.ids, maps.segments)

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute the measures of the first way, and the chief ones of the others."""
        counted = [row.details["counts"] for row in rows if "counts" in row.details]
        measures: list[Measure] = []
        for way in counted[0] if counted else ():
            measures += self._measure(
                [dense(one[way], 3, len(self.vocabulary)).astype(np.int64) for one in counted], way, len(rows)
            )
        return measures or [Measure(MIOU, 0.0, len(rows))]

    def cuts(self, maps: Maps) -> tuple[Cut, ...]:
        """Return the masks of the largest classes, for a report."""
        return tuple(
            Cut(self.vocabulary.classes[place].name, encode_rle(maps.labels == place))
            for place in _largest(maps.labels)
        )

    def masks(self, truth: LabelMap) -> tuple[Mask, ...]:
        """Return the true masks of the largest classes."""
        return tuple(truth == place for place in _largest(truth))

    def places(self, truth: LabelMap) -> frozenset[int]:
        """Return the places of the classes in a truth."""
        return frozenset(int(place) for place in np.unique(truth) if place != NOTHING)

    def _measure(self, counts: Sequence[Counts], way: str, n: int) -> list[Measure]:
        if not any(one[1].any() for one in counts):
            return []
        found, of = score_semantic(counts), f", {way}" if way else ""
        chief = [
            Measure(MIOU + of, found.miou, n, found.miou_ci95),
            Measure(OCCURRING + of, found.miou_occurring, n),
            Measure(f"pixel accuracy{of}", found.pixel_accuracy, n, found.pixel_accuracy_ci95),
        ]
        rest = [Measure("mIoU, all classes", found.miou_all, n), Measure("class accuracy", found.class_accuracy, n)]
        return chief if way else chief + rest


def _largest(labels: LabelMap) -> list[int]:
    places, pixels = np.unique(labels[labels != NOTHING], return_counts=True)
    return [int(places[i]) for i in np.argsort(-pixels, kind="stable")[:_SHOWN]]
