"""Which answered object is which true one: the assignment that is best in sum (Hungarian method)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def best_pairs(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the pairs (row, column), each row and column at most once, that maximise the sum of `values`.

    `values` has the shape (answered, true) and is finite. Source: scipy's `linear_sum_assignment`.
    """
    rows, columns = linear_sum_assignment(values, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True)]
