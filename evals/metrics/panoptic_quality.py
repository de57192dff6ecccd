"""PQ, SQ and RQ of a benchmark from the counts of its pictures (`panoptic`): all classes, things and stuff."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.intervals import Interval, bootstrap_sums
from evals.metrics.panoptic import Counts


@dataclass(frozen=True)
class PanopticScore:
    """Means over the `classes` that occur in truth or prediction, 0 to 1; PQ's 95 % interval is over pictures.

    `class_pq` is of all classes asked for, NaN for one that does not occur.
    """

    pq: float
    pq_ci95: Interval
    sq: float
    rq: float
    classes: int
    class_pq: NDArray[np.float64]


def score_panoptic(
    pictures: Sequence[Counts], *, only: Sequence[bool] | NDArray[np.bool_] | None = None, seed: int = 0
) -> PanopticScore:
    """Score a benchmark; `only` picks classes, say the things.

    A class without a match has SQ 0, as in COCO's evaluator. Raises ValueError if none of the classes occurs.
    """
    counts = np.asarray(pictures, np.float64)
    if counts.size and only is not None:
        counts = counts[:, :, np.asarray(only, np.bool_)]
    if not counts.size or not counts[:, 1:].any():
        raise ValueError("no picture has a segment of these classes")
    overlap, matches, *_ = total = counts.sum(axis=0)
    below = _below(total)
    occurring = below > 0
    pq, rq = (part[occurring] / below[occurring] for part in (overlap, matches))
    sq = overlap[occurring] / np.maximum(matches[occurring], 1)
    class_pq = np.full(len(below), np.nan)
    class_pq[occurring] = pq
    interval = bootstrap_sums(counts, _pq, seed=seed)
    return PanopticScore(float(pq.mean()), interval, float(sq.mean()), float(rq.mean()), len(pq), class_pq)


def _below(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return matches and half of what went wrong, (..., classes)."""
    below: NDArray[np.float64] = sums[..., 1, :] + (sums[..., 2, :] + sums[..., 3, :]) / 2
    return below


def _pq(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    below = _below(sums)
    occurring = below > 0
    total = np.divide(sums[:, 0], below, out=np.zeros_like(below), where=occurring).sum(axis=1)
    found = occurring.sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, found, out=np.full(len(sums), np.nan), where=found > 0)
    return mean
