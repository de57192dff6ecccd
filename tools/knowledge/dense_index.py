"""Dense retrieval: unit vectors in a FAISS flat index, searched by inner product."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from tools.embedders.base import Vectors
from tools.errors import KnowledgeBaseError, boundary

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class DenseIndex:
    """Find rows near a vector. Immutable once built; FAISS lets many threads search one index."""

    def __init__(self, index: faiss.IndexFlat) -> None:
        self._index = index
        # A view, not a copy, of the stored vectors: to score rows that another index proposed.
        self._vectors: Vectors = (
            faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
            if index.ntotal
            else np.zeros((0, index.d), np.float32)
        )

    @classmethod
    def build(cls, vectors: Vectors) -> "DenseIndex":
        """Index `vectors`, float32 (rows, dimension), copied."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(np.ascontiguousarray(vectors))
        return cls(index)

    def nearest(self, vector: Vectors, limit: int) -> Rows:
        """Return the rows with the largest inner product with `vector`, float32 (dimension,), best first."""
        if not self._index.ntotal:  # FAISS asserts that it has something to return.
            return np.zeros(0, np.int64)
        with _one_thread():
            _, rows = self._index.search(vector[None], min(limit, self._index.ntotal))
        nearest: Rows = rows[0]
        return nearest

    def scores(self, vector: Vectors, rows: Rows) -> Scores:
        """Return the inner products of `rows` with `vector`: float32 (len(rows),)."""
        return self._vectors[rows] @ vector


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep FAISS to one thread for one query: a team of threads costs more than it saves when cores are busy.

    OpenMP keeps this setting per calling thread, so searches in other threads are not disturbed.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def load_index(path: Path, *, rows: int, dimension: int) -> DenseIndex:
    """Read a prebuilt FAISS flat inner-product index; KnowledgeBaseError if it does not fit corpus or embedder."""
    remedy = "Build it again from this corpus, or delete it and the index is made when the knowledge base is opened."
    with boundary(KnowledgeBaseError, f"{path} cannot be read", remedy=remedy):
        index = faiss.read_index(str(path))
    if not isinstance(index, faiss.IndexFlat) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise KnowledgeBaseError(f"{path} is a {type(index).__name__}, not a flat inner-product index.", remedy=remedy)
    if index.ntotal != rows:
        raise KnowledgeBaseError(f"{path} has {index.ntotal} rows, the corpus has {rows} records.", remedy=remedy)
    if index.d != dimension:
        raise KnowledgeBaseError(
            f"{path} has vectors of {index.d} numbers, the embedder makes {dimension}.", remedy=remedy
        )
    return DenseIndex(index)
