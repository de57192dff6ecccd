"""Scores of a soft map cut at every threshold, and at the one that adapts to it: mean, max and adaptive.

Benchmarks of salient and camouflaged objects report F and E so. The curve is averaged over pictures before its maximum
is taken: the best single threshold for all of them, not the best one for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.maps import LevelCounts


@dataclass(frozen=True)
class ThresholdScores:
    """A measure, 0 to 1, of a map cut at the levels 0 to 255 (`curve`, 256 numbers) and at twice its mean.

    At threshold 0 everything is selected, even from an empty map, as in all published evaluations.
    """

    curve: NDArray[np.float64]
    adaptive: float

    @property
    def mean(self) -> float:
        """The mean over thresholds."""
        return float(self.curve.mean())

    @property
    def max(self) -> float:
        """The best threshold's."""
        return float(self.curve.max())


@dataclass(frozen=True)
class Selections:
    """Pixels selected inside (`right`) and outside (`wrong`) an object at the 256 thresholds, then at the adaptive."""

    right: NDArray[np.int64]
    wrong: NDArray[np.int64]
    area: int
    pixels: int


def select(counts: LevelCounts) -> Selections:
    """Cut a counted map at every threshold: selected is what reaches it.

    The adaptive threshold is twice the map's mean, at most 1. Where that is 0 the map is empty and nothing is selected,
    while pysodmetrics then selects everything and scores an empty map as a full one.
    """
    # In whole levels after stretching, rounded down as in the published code.
    steps = (counts.values * 255).astype(np.int64)
    right, wrong = (_reaching(steps, side) for side in (counts.inside, counts.outside))
    mean = float(counts.values @ (counts.inside + counts.outside)) / counts.pixels
    adaptive = (counts.values >= min(2 * mean, 1.0)) if mean > 0 else np.zeros(256, np.bool_)
    return Selections(
        np.append(right, counts.inside[adaptive].sum()),
        np.append(wrong, counts.outside[adaptive].sum()),
        counts.area,
        counts.pixels,
    )


def mean_scores(scores: Sequence[ThresholdScores]) -> ThresholdScores:
    """Average pictures, threshold by threshold. Raises ValueError without any."""
    if not scores:
        raise ValueError("no pictures to average")
    return ThresholdScores(
        np.mean([score.curve for score in scores], axis=0), float(np.mean([score.adaptive for score in scores]))
    )


def _reaching(steps: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    at = np.bincount(steps, counts, 256).astype(np.int64)
    return np.cumsum(at[::-1])[::-1]
