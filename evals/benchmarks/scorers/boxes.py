"""Score one box a picture: IoU, and the share that reaches 0.5, of visual grounding (EviLens)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.benchmarks.base import Measure, Row
from evals.datasets.base import Sample
from evals.metrics.intervals import bootstrap_mean, wilson
from evals.metrics.overlap import box_iou
from graphs.endings import Ending
from graphs.episode import EpisodeResult
from graphs.masks import decode_rle
from tools.segmenters.base import Box
from tools.segmenters.prompts import box_of


@dataclass(frozen=True)
class BoxScorer:
    """Compare the first answered object's box with the true one, of which there is one a picture."""

    counts: str = (
        "Every picture counts: without an answer, where it is “absent”, and where no mask could be cut, the IoU is 0. "
        "One box is asked for; of several answered objects the first counts, as in the published evaluation. An object "
        "answered by points alone has the box of its mask."
    )

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a sample that could not be read."""
        return {"iou": 0.0}

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return the IoU, twice."""
        (truth,) = sample.boxes
        box = _answered_box(result)
        iou = 0.0 if box is None else box_iou(box, truth)
        return iou, {"iou": iou}

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute the mean IoU, and R@0.5: the share of pictures whose IoU is at least a half."""
        ious = [row.scores["iou"] for row in rows]
        right = sum(iou >= 0.5 for iou in ious)
        return [
            Measure("IoU", float(np.mean(ious)), len(ious), bootstrap_mean(ious)),
            Measure("R@0.5", right / len(ious), len(ious), wilson(right, len(ious))),
        ]


def _answered_box(result: EpisodeResult) -> Box | None:
    """Return the box of the first answered object, by its mask if the answer has none."""
    if result.ending is not Ending.FOUND:
        return None
    if (box := result.instances[0].box) is not None:
        return box
    rle = result.masks.rle(0, 0)
    return None if rle is None else box_of(decode_rle(rle))
