"""Pixels of each class, counted picture by picture, and the mean IoU that follows, with both published divisors."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Tally:
    """Counts of all pictures, (3, classes) each: rightly predicted, true, predicted."""

    classes: int
    pictures: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, predicted: NDArray[Any], truth: NDArray[Any]) -> None:
        """Count a picture's labels (height, width); true ones that are negative are ignored.

        A negative prediction is no class, so what is there is missed. Raises ValueError for different shapes.
        """
        if predicted.shape != truth.shape:
            raise ValueError(f"labels of different shapes, {predicted.shape} and {truth.shape}")
        theirs, ours = truth[truth >= 0], predicted[truth >= 0]
        counted = (theirs[ours == theirs], theirs, ours[ours >= 0])
        self.pictures.append(np.stack([np.bincount(x, minlength=self.classes) for x in counted]).astype(np.float64))

    def summary(self, *, resamples: int = 1000) -> dict[str, object]:
        """Return scores 0 to 1 of at least one picture.

        `miou` is over the true classes, with its 95 % bootstrap interval over pictures; `miou_occurring` is over those
        in truth or prediction.
        """
        counts = np.stack(self.pictures)
        chances = np.full(len(counts), 1 / len(counts))
        weights = np.random.default_rng(0).multinomial(len(counts), chances, resamples)
        low, high = np.percentile(miou(np.tensordot(weights.astype(np.float64), counts, 1)), (2.5, 97.5))
        total = counts.sum(axis=0)[None]
        return {
            "miou": round(float(miou(total)[0]), 4),
            "ci95": [round(float(low), 4), round(float(high), 4)],
            "miou_occurring": round(float(miou(total, predicted=True)[0]), 4),
            "pixel_accuracy": round(float(total[0, 0].sum() / total[0, 1].sum()), 4),
        }


def miou(counts: NDArray[np.float64], *, predicted: bool = False) -> NDArray[np.float64]:
    """Return the mean IoU of counts (samples, 3, classes) over true classes, or also over those only predicted."""
    union = counts[:, 1] + counts[:, 2] - counts[:, 0]
    among = union > 0 if predicted else counts[:, 1] > 0
    return np.asarray((counts[:, 0] / np.maximum(union, 1) * among).sum(axis=1) / among.sum(axis=1))
