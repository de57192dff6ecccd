"""The embedder that needs no weights: signed feature hashing of words, word pairs and character n-grams.

Knows spelling, not meaning: `Torvik` is near `Torvek`, `car` is not near `automobile`. Loads at once, runs at
thousands of short texts a second, and gives the same vectors on every machine (CRC-32, never Python's own hash).
Source of the method: Weinberger et al., Feature Hashing for Large Scale Multitask Learning (ICML 2009).
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tools.embedders.base import Vectors
from tools.embedders.words import words

_GRAM_LENGTHS = (3, 4, 5)
_GRAMS_WEIGHT = 0.6
_PAIR_WEIGHT = 0.7
_CHUNK = 2048
_CACHED_WORDS = 65_536
_LONGEST_WORD = 64

_Hashes = NDArray[np.uint32]
_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class HashingEmbedder:
    """Embed texts by hashing what they are spelled of."""

    name = "hashing"
    chance = 0.15

    def __init__(self, dimension: int = 1024) -> None:
        """Make an embedder of `dimension` buckets; more buckets, fewer collisions."""
        self.dimension = dimension
        self._spellings: dict[str, _Hashes] = {}

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed questions; the same as passages, for spelling has no sides. No error is ever raised."""
        return self.embed_passages(texts)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: float32 (len(texts), dimension); a text without a word is the zero vector."""
        chunks = [self._embed(texts[start : start + _CHUNK]) for start in range(0, len(texts), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros((0, self.dimension), np.float32)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """Embed one chunk: gather (text, word) pairs, spread each over its features, sum per bucket."""
        vocabulary: dict[str, int] = {}
        split = [[vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in texts]
        total = np.zeros(len(texts) * self.dimension)
        if not vocabulary:
            return total.astype(np.float32).reshape(len(texts), self.dimension)
        spellings = [self._spelling(word) for word in vocabulary]
        sequence = np.fromiter((word for line in split for word in line), np.int64)
        row = np.repeat(np.arange(len(texts)), [len(line) for line in split])
        self._add_words(total, row, sequence, spellings)
        self._add_pairs(total, row, sequence, spellings)
        return _unit(total.reshape(len(texts), self.dimension))

    def _add_words(self, total: _Floats, row: _Ints, sequence: _Ints, spellings: list[_Hashes]) -> None:
        """Add words and their character n-grams, sublinear in how often the word stands in its text."""
        keys, counts = np.unique(row * len(spellings) + sequence, return_counts=True)
        row, word = np.divmod(keys, len(spellings))
        lengths = np.array([len(spelling) for spelling in spellings])
        weights = _spelling_weights(lengths)
        # Feature f of pair p lies at start of p's word + (position within p): one gather for all pairs.
        spread = lengths[word]
        first = np.cumsum(lengths) - lengths
        feature = np.repeat(first[word] - (np.cumsum(spread) - spread), spread) + np.arange(spread.sum())
        weight = weights[feature] * np.repeat(1 + np.log(counts), spread)
        self._add(total, np.repeat(row, spread), np.concatenate(spellings)[feature], weight)

    def _add_pairs(self, total: _Floats, row: _Ints, sequence: _Ints, spellings: list[_Hashes]) -> None:
        """Add pairs of neighbouring words, sublinear too, so that word order counts a little."""
        whole = np.array([spelling[0] for spelling in spellings], np.uint32)[sequence]
        beside = row[1:] == row[:-1]
        pair = _mix(whole[:-1][beside] * np.uint32(0x9E3779B1) + whole[1:][beside])
        keys, counts = np.unique((row[1:][beside] << 32) | pair, return_counts=True)
        self._add(total, keys >> 32, (keys & 0xFFFFFFFF).astype(np.uint32), _PAIR_WEIGHT * (1 + np.log(counts)))

    def _add(self, total: _Floats, row: _Ints, hashes: _Hashes, weight: _Floats) -> None:
        """Sum signed weights into `total`, flat (texts * dimension): low bit the sign, the rest the bucket."""
        sign = 1.0 - 2.0 * (hashes & np.uint32(1))
        bucket = (hashes >> np.uint32(1)).astype(np.int64) % self.dimension
        total += np.bincount(row * self.dimension + bucket, sign * weight, minlength=len(total))

    def _spelling(self, word: str) -> _Hashes:
        """Hash a word and its character n-grams, the word itself first; remembered, for words come back."""
        known = self._spellings.get(word)
        if known is not None:
            return known
        marked = f"<{word[:_LONGEST_WORD]}>"
        grams = {marked[i : i + n] for n in _GRAM_LENGTHS for i in range(len(marked) - n + 1)}
        features = [f"={word}", *sorted(grams)]
        codes = [zlib.crc32(feature.encode("utf-8", "surrogatepass")) for feature in features]
        hashes = _mix(np.array(codes, np.uint32))
        if len(self._spellings) >= _CACHED_WORDS:
            self._spellings.clear()
        self._spellings[word] = hashes
        return hashes


def _mix(codes: _Hashes) -> _Hashes:
    """Scatter codes over all 32 bits (Murmur3's finaliser): CRC-32 is linear, so alike words get alike low bits."""
    codes = (codes ^ (codes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    codes = (codes ^ (codes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return codes ^ (codes >> np.uint32(16))


def _spelling_weights(lengths: _Ints) -> _Floats:
    """Weigh each feature: 1 for the word, and all its n-grams together _GRAMS_WEIGHT, however long the word is."""
    weights = np.repeat(_GRAMS_WEIGHT / np.sqrt(np.maximum(lengths - 1, 1)), lengths)
    weights[np.cumsum(lengths) - lengths] = 1.0
    return weights


def _unit(rows: _Floats) -> Vectors:
    """Scale rows to length 1; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
