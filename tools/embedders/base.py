"""What every embedder does: texts in, unit vectors out, so that the inner product of two is their likeness."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.errors import SegscoutError

Vectors = NDArray[np.float32]
"""Embeddings, float32, shape (texts, dimension), each row of length 1 or, for a text with nothing to embed, 0."""


class EmbedderError(SegscoutError):
    """An embedder's weights are missing, altered or unreadable."""

    boundary = "embedder"


class Embedder(Protocol):
    """Turn texts into unit vectors; instances may be shared between threads."""

    name: str
    dimension: int
    chance: float
    """Cosine that unrelated texts reach by chance: a match at or below it is no evidence."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Embed questions: float32 (len(texts), dimension); EmbedderError when the model fails."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Embed documents: float32 (len(texts), dimension); EmbedderError when the model fails."""
        ...
