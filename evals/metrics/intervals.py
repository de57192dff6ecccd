"""How sure a measured share or mean is: 95 % intervals."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""Lower and upper end."""
Sums = NDArray[np.float64]
"""Sums over resampled samples, (resamples, ...)."""

_Z = 1.959963984540054
"""The normal distribution's 97.5 % quantile."""
_AT_ONCE = 2**23
"""Numbers drawn or summed at once, 64 MiB."""


def wilson(successes: int, n: int) -> Interval:
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


def bootstrap_mean(values: Sequence[float] | NDArray[np.float64], *, seed: int = 0, resamples: int = 1000) -> Interval:
    """Return the 95 % percentile bootstrap interval of a mean; seeded. Raises ValueError without values."""
    if not len(values):
        raise ValueError("no values to resample")
    numbers = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = numbers[rng.integers(len(numbers), size=(resamples, len(numbers)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def bootstrap_sums(
    samples: NDArray[np.float64],
    statistic: Callable[[Sums], NDArray[np.float64]],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Interval:
    """Return the 95 % percentile bootstrap interval of a statistic of sums, such as a ratio of two; seeded.

    `samples` are (n, ...), one a sample; `statistic` takes their sums over resampled samples, (resamples, ...), and
    returns (resamples) values, NaN where it has none: those resamples are left out. Raises ValueError without samples
    and if no resample has a value.
    """
    if not len(samples):
        raise ValueError("no samples to resample")
    rng = np.random.default_rng(seed)
    flat = samples.reshape(len(samples), -1).astype(np.float64)
    chances = np.full(len(flat), 1 / len(flat))
    at_once = max(1, _AT_ONCE // max(flat.shape))
    values = []
    for start in range(0, resamples, at_once):
        weights = rng.multinomial(len(flat), chances, size=min(at_once, resamples - start))
        sums = weights.astype(np.float64) @ flat
        values.append(statistic(sums.reshape(len(weights), *samples.shape[1:])))
    found = np.concatenate(values)
    found = found[~np.isnan(found)]
    if not found.size:
        raise ValueError("no resample has a value")
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)
