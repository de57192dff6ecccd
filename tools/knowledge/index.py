"""One searchable list of documents: dense and word evidence, fused."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.embedders.base import Embedder
from tools.embedders.words import words
from tools.knowledge.dense_index import DenseIndex
from tools.knowledge.fusion import Weights, best, fuse
from tools.knowledge.word_index import WordIndex

_CANDIDATES = 64


class HybridIndex:
    """Rank documents for a query. Immutable once built, so threads may search it together."""

    def __init__(
        self, documents: Sequence[str], embedder: Embedder, weights: Weights, dense: DenseIndex | None = None
    ) -> None:
        """Index `documents`; `dense` is their prebuilt vector index, row by row, if there is one."""
        self._embedder = embedder
        self._weights = weights
        self._words = WordIndex(documents)
        self._dense = dense or DenseIndex.build(embedder.embed_passages(documents))

    def rank(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Return at most `limit` (row, score), best first; none if no document has a word or a likeness to show."""
        if not words(query):  # An encoder would embed its own prefix and find something for nothing.
            return []
        vector = self._embedder.embed_queries([query])[0]
        shared_words = self._words.scores(query)
        proposed = max(_CANDIDATES, 4 * limit)
        rows = np.union1d(self._dense.nearest(vector, proposed), best(shared_words, proposed))
        scores = fuse(
            self._dense.scores(vector, rows), shared_words[rows], chance=self._embedder.chance, weights=self._weights
        )
        return _pairs(rows, scores, limit)


def _pairs(rows: NDArray[np.int64], scores: NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
    return [(int(rows[i]), float(scores[i])) for i in best(scores, limit)]
