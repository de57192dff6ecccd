"""Counts of a picture by class, kept as JSON without the classes that do not occur in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sparse = Mapping[str, Sequence[float]]
"""Place of a class → its counts."""


def sparse(counts: NDArray[Any]) -> dict[str, list[float]]:
    """Return the counts, (kinds, classes), of the classes that have any."""
    return {str(place): counts[:, place].tolist() for place in np.flatnonzero(counts.any(axis=0))}


def dense(kept: Sparse, kinds: int, classes: int) -> NDArray[np.float64]:
    """Return all counts, (kinds, classes), of what `sparse` returned."""
    counts = np.zeros((kinds, classes))
    for place, numbers in kept.items():
        counts[:, int(place)] = numbers
    return counts
