"""How two kinds of evidence, likeness of vectors and shared words, become one ranking.

A weighted sum of scores, not of ranks: reciprocal rank fusion forgets how far apart two neighbours are, and with
thousands of nearly equal names that distance is what tells the right one (tests/tools/test_knowledge_ranking.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]

_TIE = 6
"""Decimals that count: below float32's noise, so that equal records tie on every machine."""


@dataclass(frozen=True)
class Weights:
    """How much each evidence counts; a weight of 0 switches one off."""

    dense: float = 0.3
    words: float = 0.7


def fuse(dense: Scores, shared_words: Scores, *, chance: float, weights: Weights) -> Scores:
    """Weigh cosines and word scores of the same records, float32 (records,); the result is at most the weights' sum.

    Cosines are counted from `chance` up, so that embedders whose cosines all lie near one another spread out too.
    """
    likeness = np.maximum(dense - chance, 0) / (1 - chance)
    fused: Scores = (weights.dense * likeness + weights.words * shared_words).astype(np.float32)
    return fused


def best(scores: Scores, limit: int) -> Rows:
    """Return the positions of the `limit` highest positive scores, best first; the earlier record wins a tie."""
    rounded = np.round(scores, _TIE)
    positive = np.flatnonzero(rounded > 0)
    if len(positive) > limit:
        # Keep everything that ties with the last one: which of them stays is for the sort below to say.
        last = np.partition(rounded[positive], len(positive) - limit)[len(positive) - limit]
        positive = positive[rounded[positive] >= last]
    return positive[np.argsort(-rounded[positive], kind="stable")][:limit]
