"""J, F and J&F of a video benchmark by ability (OK-VOS: one-hop, multi-hop, relational, in-video) and over all clips.

Clips weigh the same, as in Seg-ReSearch's evaluation, which however leaves out clips without a prediction; here they
are zeros, also in frames where the object is hidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evals.metrics.clips import ClipScore
from evals.metrics.intervals import Interval, bootstrap_mean

ALL = "all"
"""The name of the row over all clips."""


@dataclass(frozen=True)
class ClipResult:
    """What one clip came to; no score means that there was no answer or that it could not be cut."""

    ability: str
    score: ClipScore | None


@dataclass(frozen=True)
class AbilityScore:
    """Means over `n` clips, `failures` of them without a score, 0 to 1; the 95 % interval is that of J&F."""

    n: int
    failures: int
    j: float
    f: float
    j_and_f: float
    ci95: Interval


def score_abilities(results: Sequence[ClipResult], *, seed: int = 0) -> dict[str, AbilityScore]:
    """Return the score of each ability, in order of first appearance, and last that of all clips.

    Raises ValueError without clips and for an ability named as the last row is.
    """
    abilities = list(dict.fromkeys(result.ability for result in results))
    if not abilities or ALL in abilities:
        raise ValueError(f"clips of abilities are needed, none of them named {ALL!r}; these are {abilities}")
    groups = {ability: [result for result in results if result.ability == ability] for ability in abilities}
    return {name: _score(group, seed) for name, group in {**groups, ALL: results}.items()}


def _score(results: Sequence[ClipResult], seed: int) -> AbilityScore:
    scores = [result.score or ClipScore(0.0, 0.0) for result in results]
    j, f, both = (np.array([getattr(score, name) for score in scores]) for name in ("j", "f", "j_and_f"))
    failures = sum(result.score is None for result in results)
    interval = bootstrap_mean(both, seed=seed)
    return AbilityScore(len(results), failures, float(j.mean()), float(f.mean()), float(both.mean()), interval)
