"""Score one mask a picture as salient and camouflaged objects are: S, E, F, weighted F, MAE, and mean IoU.

Published evaluations cut a soft map at 256 thresholds and average the curve over pictures before they look for its
maximum. Our answers are masks: at threshold 0 everything is selected, at all others the mask, which is also what the
adaptive threshold selects. Two numbers are the whole curve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.benchmarks.base import Measure, Row
from evals.benchmarks.scorers.referring import answered_mask, union
from evals.datasets.base import Sample
from evals.metrics.e_measure import e_measure
from evals.metrics.f_measure import f_measure
from evals.metrics.intervals import Sums, bootstrap_sums
from evals.metrics.mae import mean_absolute_error
from evals.metrics.overlap import mask_iou
from evals.metrics.structure import structure_measure
from evals.metrics.weighted_f_measure import weighted_f_measure
from graphs.episode import EpisodeResult

_FAILURE = {"s": 0.0, "e_all": 0.0, "e": 0.0, "f_all": 0.0, "f": 0.0, "weighted_f": 0.0, "mae": 1.0, "iou": 0.0}
"""`e_all` and `f_all` are of everything selected, at threshold 0; `e` and `f` of the mask, at all others."""
_COLUMN = {name: column for column, name in enumerate(_FAILURE)}
_THRESHOLDS = 256


@dataclass(frozen=True)
class SaliencyScorer:
    """Compare the union of the answered masks with the true mask; `note` is what else there is to say of the data."""

    note: str = ""

    @property
    def counts(self) -> str:
        """How failures and empty truths count."""
        said = (
            "Every picture counts: without an answer, or where no mask could be cut, all scores are 0 and the MAE 1; "
            "“absent” is an empty mask and scored as one, and two empty masks agree. E and F are averaged over "
            "pictures at each of 256 thresholds before mean and maximum are taken."
        )
        return f"{said} {self.note}".rstrip()

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a sample that could not be read."""
        return _FAILURE

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return S, and all scores."""
        truth = union(sample.masks(0), like=sample.media[0][..., 0])
        ours = answered_mask(result, 0, like=truth)
        if ours is None:
            return 0.0, _FAILURE
        e, f = e_measure(ours, truth), f_measure(ours, truth)
        scores = {
            "s": structure_measure(ours, truth), "e_all": float(e.curve[0]), "e": e.adaptive,
            "f_all": float(f.curve[0]), "f": f.adaptive, "weighted_f": weighted_f_measure(ours, truth),
            "mae": mean_absolute_error(ours, truth), "iou": mask_iou(ours, truth),
        }  # fmt: skip
        return scores["s"], scores

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute S; mean and max E; adaptive, mean, max and weighted F; MAE; and mean IoU."""
        samples = np.array([[*(row.scores[name] for name in _COLUMN), 1.0] for row in rows])
        total = samples.sum(axis=0)[None]
        return [
            Measure(
                name,
                float(statistic(total)[0]),
                len(rows),
                bootstrap_sums(samples, statistic),
                higher_is_better=name != "MAE",
            )
            for name, statistic in _MEASURES.items()
        ]


Statistic = Callable[[Sums], Sums]


def _mean(name: str) -> Statistic:
    """Return what computes the mean of a score from sums, the last of which is the number of pictures."""

    def mean(sums: Sums) -> Sums:
        found: Sums = sums[:, _COLUMN[name]] / sums[:, -1]
        return found

    return mean


def _curve_mean(name: str) -> Statistic:
    """Return what computes the mean over all thresholds."""
    everything, mask = _mean(f"{name}_all"), _mean(name)
    return lambda sums: (everything(sums) + (_THRESHOLDS - 1) * mask(sums)) / _THRESHOLDS


def _curve_max(name: str) -> Statistic:
    """Return what computes the value at the best threshold."""
    everything, mask = _mean(f"{name}_all"), _mean(name)
    return lambda sums: np.maximum(everything(sums), mask(sums))


_MEASURES: Mapping[str, Statistic] = {
    "S": _mean("s"),
    "mean E": _curve_mean("e"),
    "max E": _curve_max("e"),
    "adaptive F": _mean("f"),
    "mean F": _curve_mean("f"),
    "max F": _curve_max("f"),
    "weighted F": _mean("weighted_f"),
    "MAE": _mean("mae"),
    "mean IoU": _mean("iou"),
}
