"""Score panoptic segments: PQ, SQ and RQ of all classes, things and stuff (see `evals.metrics.panoptic`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.benchmarks.base import Cut, Measure, Row
from evals.benchmarks.scorers.sparse import dense, sparse
from evals.metrics.panoptic import Counts, Panoptic, Segment, count_segments
from evals.metrics.panoptic_quality import score_panoptic
from graphs.masks import encode_rle
from graphs.openvocab.fusion import Maps
from graphs.openvocab.vocabulary import Vocabulary
from tools.segmenters.base import Mask

_SHOWN = 8


@dataclass(frozen=True)
class PanopticScorer:
    """Compare the segments of maps with the true ones."""

    vocabulary: Vocabulary
    counts: str = (
        "Every picture counts: without an answer all of its segments are missed. Void pixels are ignored; a crowd is "
        "neither matched nor missed. What of a segment is seen counts, not what lies under others. A picture whose "
        "segments cannot be read is told among those without an answer, and has none to count."
    )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a picture that could not be labelled."""
        return {"pq": 0.0}

    def score(self, truth: Panoptic, ways: Mapping[str, Maps]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """Return the PQ of the first way, and the counts of all, class by class: IoUs, matches, alarms, misses."""
        counts = {way: count_segments(_panoptic(maps), truth, len(self.vocabulary)) for way, maps in ways.items()}
        first = next(iter(counts.values()))
        pq = score_panoptic([first]).pq if first[1:].any() else 1.0  # nothing to find, and nothing found
        return {"pq": pq}, {"counts": {way: sparse(some) for way, some in counts.items()}}

    def finish(self, maps: Maps) -> Maps:
        """Return the maps of a run as they are scored."""
        return maps

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute the measures of the first way, and PQ of the others."""
        counted = [row.details["counts"] for row in rows if "counts" in row.details]
        measures: list[Measure] = []
        for way in counted[0] if counted else ():
            measures += self._measure([dense(one[way], 4, len(self.vocabulary)) for one in counted], way, len(rows))
        return measures or [Measure("PQ", 0.0, len(rows))]

    def cuts(self, maps: Maps) -> tuple[Cut, ...]:
        """Return the masks of the largest segments, for a report."""
        largest = sorted(maps.segments, key=lambda one: -one.pixels)[:_SHOWN]
        return tuple(Cut(self.vocabulary.classes[s.place].name, encode_rle(maps.ids == s.id)) for s in largest)

    def masks(self, truth: Panoptic) -> tuple[Mask, ...]:
        """Return the masks of the largest true segments."""
        masks = sorted((truth.ids == segment.id for segment in truth.segments), key=lambda mask: -int(mask.sum()))
        return tuple(masks[:_SHOWN])

    def places(self, truth: Panoptic) -> frozenset[int]:
        """Return the places of the classes in a truth."""
        return frozenset(segment.category for segment in truth.segments)

    def _measure(self, counts: Sequence[Counts], way: str, n: int) -> list[Measure]:
        things = np.array([one.thing for one in self.vocabulary.classes])
        measures: list[Measure] = []
        for group, only in (("", None), ("things", things), ("stuff", ~things)):
            if not any((one if only is None else one[:, only])[1:].any() for one in counts):
                continue
            found, of = score_panoptic(counts, only=only), f", {way}" if way else ""
            measures.append(Measure(f"PQ{of}", found.pq, n, found.pq_ci95, group))
            if not way:
                measures += [Measure("SQ", found.sq, n, None, group), Measure("RQ", found.rq, n, None, group)]
        return measures


def _panoptic(maps: Maps) -> Panoptic:
    return Panoptic(maps.ids, [Segment(one.id, one.place) for one in maps.segments])
