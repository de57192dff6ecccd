"""Semantic segmentation: mean IoU with every published divisor, and pixel accuracy.

Older detectron2 divides the sum of class IoUs by the classes that occur in truth or prediction, newer by those that
occur in the truth; others by all classes of the vocabulary. With many classes that is several points: FC-CLIP's 18.2
on PC-459 and the 13.8 of those who ran it again are put down to it. So all are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.intervals import Interval, bootstrap_sums
from evals.metrics.overlap import AnyMask

IGNORE = 255
"""The label of pixels that do not count, in datasets of up to 255 classes; larger ones name another."""

Counts = NDArray[np.int64]
"""Pixels of each class, (3, classes): rightly predicted, true, predicted."""


@dataclass(frozen=True)
class SemanticScore:
    """Scores 0 to 1. `class_iou` (classes) is NaN for a class that occurs nowhere; intervals are over pictures.

    miou: over the classes in the truth; miou_occurring: over those in truth or prediction; miou_all: over all classes,
    where one that occurs nowhere is a zero; class_accuracy: mean recall of the classes in the truth.
    """

    class_iou: NDArray[np.float64]
    miou: float
    miou_ci95: Interval
    miou_occurring: float
    miou_all: float
    class_accuracy: float
    pixel_accuracy: float
    pixel_accuracy_ci95: Interval

    def summary(self) -> dict[str, object]:
        """Return what a report tells, as JSON holds it, rounded to four places."""
        return {
            "miou": round(self.miou, 4),
            "ci95": [round(bound, 4) for bound in self.miou_ci95],
            "miou_occurring": round(self.miou_occurring, 4),
            "pixel_accuracy": round(self.pixel_accuracy, 4),
        }


def count_classes(predicted: AnyMask, truth: AnyMask, classes: int, *, ignore: int = IGNORE) -> Counts:
    """Count the pixels of one picture, labels (height, width) of 0 to `classes` - 1 each; see `Counts`.

    Pixels that the truth ignores are left out; where only the prediction has that label nothing is predicted, so the
    true class is missed. Raises ValueError for different shapes and for labels that are no class.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"labels of different shapes, {predicted.shape} and {truth.shape}")
    if not (np.issubdtype(predicted.dtype, np.integer) and np.issubdtype(truth.dtype, np.integer)):
        raise ValueError(f"labels are integers, these are {predicted.dtype} and {truth.dtype}")
    counted = truth != ignore
    theirs, ours = truth[counted], predicted[counted]
    right = theirs[ours == theirs]
    ours = ours[ours != ignore]
    for name, labels in (("truth", theirs), ("prediction", ours)):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"the {name} has labels {labels.min()} to {labels.max()}, there are {classes} classes")
    return np.stack([np.bincount(labels, minlength=classes) for labels in (right, theirs, ours)])


def score_semantic(pictures: Sequence[Counts], *, seed: int = 0) -> SemanticScore:
    """Score a benchmark from the counts of its pictures. Raises ValueError if no pixel of it counts."""
    counts = np.asarray(pictures, np.float64)
    if not counts.size or not counts[:, 1].any():
        raise ValueError("no picture has a pixel that counts")
    total = counts.sum(axis=0)
    right, true, _ = total
    iou, occurring = _class_iou(total[None])[0], _union(total) > 0
    present = true > 0
    return SemanticScore(
        class_iou=np.where(occurring, iou, np.nan),
        miou=float(iou[present].mean()),
        miou_ci95=bootstrap_sums(counts, _miou, seed=seed),
        miou_occurring=float(iou[occurring].mean()),
        miou_all=float(iou.mean()),
        class_accuracy=float((right[present] / true[present]).mean()),
        pixel_accuracy=float(right.sum() / true.sum()),
        pixel_accuracy_ci95=bootstrap_sums(counts, _pixel_accuracy, seed=seed),
    )


def _union(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    union: NDArray[np.float64] = sums[..., 1, :] + sums[..., 2, :] - sums[..., 0, :]
    return union


def _class_iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each class (resamples, classes), 0 for one that occurs nowhere."""
    return sums[:, 0] / np.maximum(_union(sums), 1)


def _miou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    present = sums[:, 1] > 0
    found = present.sum(axis=1)
    total = (_class_iou(sums) * present).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(total, found, out=np.full(len(sums), np.nan), where=found > 0)
    return mean


def _pixel_accuracy(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    right, true = sums[:, 0].sum(axis=1), sums[:, 1].sum(axis=1)
    share: NDArray[np.float64] = np.divide(right, true, out=np.full(len(sums), np.nan), where=true > 0)
    return share
