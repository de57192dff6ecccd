"""Score expressions that may have no target (gRefCOCO): gIoU and cIoU, and whether absence is told from presence.

As GRES (CVPR 2023) defines them: N-acc is the share of expressions without a target that are answered with nothing,
T-acc the share of those with one that are answered with something; two empty masks have an IoU of 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.benchmarks.base import Measure, Row
from evals.benchmarks.scorers.referring import ReferringScorer, answered_mask, union
from evals.datasets.base import Sample
from evals.metrics.abstention import score_abstention
from evals.metrics.intervals import wilson
from graphs.episode import EpisodeResult

_REFERRING = ReferringScorer()


@dataclass(frozen=True)
class GeneralizedScorer:
    """Compare the union of the answered masks with the union of the true ones, and one being empty with the other."""

    counts: str = (
        f"{_REFERRING.counts} A mask without pixels is nothing. A sample without an answer is neither nothing nor "
        "something, hence a zero in N-acc or T-acc; one that cannot be read counts among those with a target."
    )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a sample that could not be read."""
        return {**_REFERRING.failure, "absent": 0.0, "nothing": 0.0, "something": 0.0}

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return the IoU; what it is made of; and whether the target is absent, and nothing or something answered."""
        score, scores = _REFERRING.score(sample, result)
        truth = union(sample.masks(0), like=sample.media[0][..., 0])
        ours = answered_mask(result, 0, like=truth)
        something = ours is not None and bool(ours.any())
        told = {"absent": not truth.any(), "nothing": ours is not None and not something, "something": something}
        return score, {**scores, **{name: float(value) for name, value in told.items()}}

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute gIoU, cIoU and the share of IoUs above 0.5, then N-acc and T-acc where there is such a sample."""
        score = score_abstention((bool(row.scores["nothing"]), bool(row.scores["absent"])) for row in rows)
        answered = sum(bool(row.scores["something"]) and not row.scores["absent"] for row in rows)
        some = _REFERRING.measure(rows)
        if score.recall is not None:
            some.append(Measure("N-acc", score.recall, score.absent, score.recall_ci95))
        if score.present:
            some.append(Measure("T-acc", answered / score.present, score.present, wilson(answered, score.present)))
        return some
