"""E-measure, enhanced alignment of two masks (Fan et al., IJCAI 2018): pixels and the pictures' means together.

Own code instead of pysodmetrics 1.6.2 for the reasons that `f_measure` gives, in 1 to 2 ms for 1024 x 1024 instead
of 18 to 25. A binary map has four kinds of pixels, so the measure follows from four counts.
"""

import numpy as np
from numpy.typing import NDArray

from evals.metrics.maps import count_levels
from evals.metrics.overlap import AnyMask
from evals.metrics.thresholds import Selections, ThresholdScores, select


def e_measure(predicted: AnyMask, truth: AnyMask) -> ThresholdScores:
    """Return E of a map or mask (height, width) against a true mask, 0 to 1, at all thresholds.

    Where the truth has no object (or nothing else), E is the share of pixels that are rightly left out (or selected).
    As in the published code the sum is divided by one pixel less than there are, which lifts a perfect picture of n
    pixels to n / (n - 1) there; here such a score is 1. An empty map selects nothing at the adaptive threshold, see
    `select`. Raises ValueError for different shapes and for pictures that could be read in two ways (`maps`).
    """
    cut = select(count_levels(predicted, truth))
    scores = np.minimum(_aligned(cut) / max(cut.pixels - 1, 1), 1.0)
    return ThresholdScores(scores[:-1], float(scores[-1]))


def _aligned(cut: Selections) -> NDArray[np.float64]:
    """Return the alignment summed over all pixels, one sum a threshold."""
    selected = cut.right + cut.wrong
    if cut.area == 0:
        return (cut.pixels - selected).astype(np.float64)
    if cut.area == cut.pixels:
        return selected.astype(np.float64)
    missed = cut.area - cut.right
    ours, theirs = selected / cut.pixels, cut.area / cut.pixels
    kinds = (
        (cut.right, 1 - ours, 1 - theirs),
        (cut.wrong, 1 - ours, -theirs),
        (missed, -ours, 1 - theirs),
        (cut.pixels - selected - missed, -ours, -theirs),
    )
    # `theirs` is neither 0 nor 1 here, so no denominator is.
    total = np.zeros(len(selected))
    for count, a, b in kinds:
        total += count * (2 * a * b / (a * a + b * b) + 1) ** 2 / 4
    return total
