"""F-measure of salient object detection (Achanta et al., CVPR 2009): precision and recall with beta² = 0.3.

Own code instead of pysodmetrics 1.6.2, which needs an older numpy and OpenCV than the rest of this project and takes 24
to 28 ms for 1024 x 1024 instead of 1.5 (`python -m evals.speed.metrics`). The values are the same but for truths
without an object and for empty maps, see below.
"""

import numpy as np

from evals.metrics.maps import count_levels
from evals.metrics.overlap import AnyMask
from evals.metrics.thresholds import ThresholdScores, select

BETA_SQUARED = 0.3
"""How much recall weighs against precision."""


def f_measure(predicted: AnyMask, truth: AnyMask, *, beta_squared: float = BETA_SQUARED) -> ThresholdScores:
    """Return F of a map or mask (height, width) against a true mask, 0 to 1, at all thresholds.

    Where the truth has no object, selecting nothing is right (1) and anything else wrong (0); pysodmetrics gives 0 for
    both. An empty map earns nothing at the adaptive threshold, see `select`. Raises ValueError for different shapes
    and for pictures that could be read in two ways (`maps`).
    """
    cut = select(count_levels(predicted, truth))
    # (1 + b) P R / (b P + R), multiplied out: no division by an empty selection.
    below = beta_squared * cut.area + cut.right + cut.wrong
    scores = np.divide((1 + beta_squared) * cut.right, below, out=np.ones_like(below, np.float64), where=below > 0)
    scores = np.minimum(scores, 1.0)  # rounding
    return ThresholdScores(scores[:-1], float(scores[-1]))
