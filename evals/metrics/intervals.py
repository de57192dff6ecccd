"""How sure a measured share or mean is: 95 % intervals."""

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (E. B. Wilson, 1927); (0, 1) for n = 0, which says nothing.

    Unlike the bootstrap it is honest at 0 % and 100 %. Raises ValueError unless 0 <= successes <= n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, _Z * _Z
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    # At the ends of the scale the interval touches them; rounding must not say otherwise.
    low = 0.0 if successes == 0 else centre - half
    return low, 1.0 if successes == n else centre + half


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean; seeded. Raises ValueError without values."""
    if not len(values):
        raise ValueError("no values to resample")
    numbers = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = numbers[rng.integers(len(numbers), size=(resamples, len(numbers)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
