"""Score masks through a clip: J, F and J&F by ability (see `evals.metrics.abilities`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.benchmarks.base import Measure, Row
from evals.benchmarks.scorers.referring import union
from evals.datasets.base import Sample
from evals.metrics.abilities import ALL, ClipResult, score_abilities
from evals.metrics.clips import ClipScore, score_clip
from graphs.endings import Ending
from graphs.episode import EpisodeResult


@dataclass(frozen=True)
class ClipScorer:
    """Compare the union of the answered masks with the union of the true ones in every frame."""

    counts: str = (
        "Every clip counts: without an answer, where no mask could be cut, and where the answer is “absent” though the "
        "target is in the clip, J and F are 0. In a frame that does not show the target an empty mask counts 1."
    )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a clip that could not be read."""
        return {"j": 0.0, "f": 0.0, "failed": 1.0}

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return J&F, and J and F."""
        pairs = []
        seen = False
        for frame in range(len(sample.media)):
            picture = sample.media[frame][..., 0]
            truth = union(sample.masks(frame), like=picture)
            seen = seen or bool(truth.any())
            ours = result.masks.union(frame) if result.ending is Ending.FOUND else None
            pairs.append((np.zeros_like(truth) if ours is None else ours, truth))
        answered = result.ending is Ending.FOUND or (result.ending is Ending.ABSENT and not seen)
        found = score_clip(pairs) if answered else ClipScore(0.0, 0.0)
        return found.j_and_f, {"j": found.j, "f": found.f, "failed": float(not answered)}

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute J&F, J and F, of all clips and of each ability."""
        results = [ClipResult(row.group or "any", _clip_score(row)) for row in rows]
        scores = score_abilities(results)
        named = {"": scores.pop(ALL)} | (scores if len(scores) > 1 else {})
        return [
            measure
            for group, score in named.items()
            for measure in (
                Measure("J&F", score.j_and_f, score.n, score.ci95, group),
                Measure("J", score.j, score.n, None, group),
                Measure("F", score.f, score.n, None, group),
            )
        ]


def _clip_score(row: Row) -> ClipScore | None:
    return None if row.scores["failed"] else ClipScore(row.scores["j"], row.scores["f"])
