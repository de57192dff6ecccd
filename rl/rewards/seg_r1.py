"""Seg-R1's reward: format, 0.7 IoU and 0.3 S-measure of the mask that SAM 2 cut.

Source: arXiv 2506.22624. Its released code reads every true mask as empty when it computes S, so what it trains on is
0.7 IoU + 0.3 (1 - predicted area): smaller masks pay more. Here S is right; `as_released` brings the defect back, to
compare with.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from evals.metrics.overlap import mask_iou
from evals.metrics.structure import structure_measure
from rl.rewards.base import Cut, Play
from rl.rewards.seg_r1_text import has_thought, read_prompts
from tools.errors import InputError
from tools.segmenters.base import Mask


class SegR1:
    """Score one reply, 0 to 2: a complete format 1, and 1 shared by IoU and S of all objects' masks taken together.

    With `points_only`, neither a box nor a thought is asked for.
    """

    source = "Seg-R1 (arXiv 2506.22624), with the S-measure right"
    weights: Mapping[str, float] = MappingProxyType({"format": 1.0, "iou": 0.7, "structure": 0.3})

    def __init__(self, *, as_released: bool = False, points_only: bool = False) -> None:
        self.name = "seg-r1-points" if points_only else "seg-r1"
        self._as_released, self._points_only = as_released, points_only

    def components(self, play: Play) -> dict[str, float]:
        """Return the three parts, 0 to 1 each; IoU and S are 0 for an incomplete answer or without a segmenter.

        Raises InputError for a task without masks, of which none could ever be compared.
        """
        if play.boxes is not None:
            raise InputError(
                f"the reward {self.name} compares masks, and this task has none.",
                remedy="Choose a reward that compares boxes: seg-zero, vision-reasoner or segscout.",
            )
        reply = "".join(play.spoken)
        read = read_prompts(reply)
        complete = bool(read.points) if self._points_only else read.complete
        formed = complete and (self._points_only or has_thought(reply))
        scores = {"format": float(formed), "iou": 0.0, "structure": 0.0}
        if complete and play.cut is not None and (play.cut.predicted or play.cut.true):
            predicted, true = _unions(play.cut)
            # Two empty masks agree in our metric; the published reward gives nothing for them.
            scores["iou"] = mask_iou(predicted, true) if predicted.any() or true.any() else 0.0
            seen = np.zeros_like(true) if self._as_released else true
            scores["structure"] = structure_measure(predicted, seen)
        return scores


class SegR1Points(SegR1):
    """The reward of Seg-R1's first stage: points and labels are a complete format, box and thought do not count."""

    def __init__(self) -> None:
        super().__init__(points_only=True)


def _unions(cut: Cut) -> tuple[Mask, Mask]:
    """Return the predicted and the true objects as one mask each; no object is an empty mask."""
    shape = (*cut.predicted, *cut.true)[0].shape
    return _union(cut.predicted, shape), _union(cut.true, shape)


def _union(masks: Sequence[Mask], shape: tuple[int, ...]) -> Mask:
    union = np.zeros(shape, np.bool_)
    for mask in masks:
        union |= mask
    return union
