"""J, F and J&F of masks through a clip, as DAVIS averages them: over frames first."""

from collections.abc import Iterable
from dataclasses import dataclass

from evals.metrics.boundary import boundary_f
from evals.metrics.overlap import AnyMask, mask_iou


@dataclass(frozen=True)
class ClipScore:
    """Means over the frames of a clip, each 0 to 1."""

    j: float
    f: float

    @property
    def j_and_f(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


def score_clip(pairs: Iterable[tuple[AnyMask, AnyMask]]) -> ClipScore:
    """Score (predicted, true) masks, one pair a frame, both (height, width).

    A frame without the object counts: 1 if no mask is predicted there, else 0 (DAVIS leaves out first and last frames
    because they are given or annotated half-heartedly; here all count). Raises ValueError for a clip of no frames.
    """
    regions, boundaries = [], []
    for predicted, truth in pairs:
        regions.append(mask_iou(predicted, truth))
        boundaries.append(boundary_f(predicted, truth))
    if not regions:
        raise ValueError("a clip without frames has no score")
    return ClipScore(sum(regions) / len(regions), sum(boundaries) / len(boundaries))
