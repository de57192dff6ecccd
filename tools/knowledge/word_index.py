"""BM25 over words and pairs of neighbouring words (bm25s): exact names and years, which dense vectors blur."""

import importlib
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.embedders.words import words


def _import_bm25s() -> Any:
    """Import bm25s without JAX, which it starts when it finds it, and which then claims most of a GPU's memory.

    Only JAX's own entry is touched: restoring all of `sys.modules` would forget what bm25s itself imported, and some
    extension modules of NumPy refuse to be loaded twice.
    """
    hidden = "jax" not in sys.modules
    if hidden:
        sys.modules["jax"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("bm25s")
    finally:
        if hidden:
            del sys.modules["jax"]


bm25s = _import_bm25s()

Scores = NDArray[np.float32]

_SATURATION = 0.05
_LENGTH_PENALTY = 0.5
"""BM25's k1 and b. k1 near 0 counts which words of the query a record holds, hardly how often: with the usual 1.5,
"captain of Torvik Foxes" found the record titled "Torvik Foxes", which says the name twice and no captain, first."""

_PAIRS = 0.3
"""What a pair counts beside a word: "Torvik Foxes" is not "Torvik Bola, captain of the Helsa Foxes"."""


class WordIndex:
    """Score documents by the words that they share with a query. Immutable once built."""

    def __init__(self, documents: Sequence[str]) -> None:
        """Index `documents`; they may be empty."""
        split = [words(text) for text in documents]
        self._words = TermIndex(split)
        self._pairs = TermIndex([pairs(line) for line in split])

    def scores(self, query: str) -> Scores:
        """Score every document: float32 (documents,), 0 without a shared word, below 1.

        The sum is divided by what a document could reach at most that holds every word of the query, words unknown
        to the corpus included: a document is not a perfect match for a query of which it knows only the small words.
        Pairs unknown to the corpus do not count: most pairs of a question are its grammar.
        """
        asked = words(query)
        in_words, most_words, unknown = self._words.scores(asked)
        if not in_words.any():
            return in_words
        in_pairs, most_pairs, _ = self._pairs.scores(pairs(asked))
        most = most_words + unknown + _PAIRS * most_pairs
        return ((in_words + _PAIRS * in_pairs) / most).astype(np.float32)


class TermIndex:
    """BM25 (Lucene's variant) over documents already split into terms."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        """Index `documents`, each the list of its terms, with repetitions; any of them may be empty."""
        self._size = len(documents)
        self._vocabulary: dict[str, int] = {}
        ids = [[self._vocabulary.setdefault(t, len(self._vocabulary)) for t in terms] for terms in documents]
        found_in = np.fromiter((term for line in ids for term in set(line)), np.int64)
        frequency = np.bincount(found_in, minlength=len(self._vocabulary))
        self._rarity = np.log1p((self._size - frequency + 0.5) / (frequency + 0.5))
        self._unknown_rarity = float(np.log1p((self._size + 0.5) / 0.5))
        self._index = _build(ids, self._vocabulary) if self._vocabulary else None

    def scores(self, terms: Iterable[str]) -> tuple[Scores, float, float]:
        """Score every document, float32 (documents,); and say what the known and the unknown terms weigh at most."""
        asked = set(terms)
        # Sorted, so that the float sum, and with it the ranking, does not depend on the order of words.
        known = np.array(sorted(self._vocabulary[term] for term in asked if term in self._vocabulary), np.int32)
        unknown = (len(asked) - len(known)) * self._unknown_rarity
        if self._index is None or not len(known):
            return np.zeros(self._size, np.float32), 0.0, unknown
        return self._index.get_scores_from_ids(known), float(self._rarity[known].sum()), unknown


def pairs(line: Sequence[str]) -> list[str]:
    """Join neighbouring words; a space joins them, which no word contains."""
    return [f"{first} {second}" for first, second in pairwise(line)]


def _build(ids: list[list[int]], vocabulary: dict[str, int]) -> Any:
    """Build the bm25s index quietly; it is given ids, for its own tokenizer drops accents and short names."""
    index = bm25s.BM25(method="lucene", k1=_SATURATION, b=_LENGTH_PENALTY)
    index.index((ids, dict(vocabulary)), create_empty_token=False, show_progress=False)
    return index
