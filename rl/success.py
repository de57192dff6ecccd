"""Whether an episode's answer is right: what runs are measured by, whatever reward they are trained on."""

from collections.abc import Sequence

import numpy as np

from evals.metrics.overlap import box_iou, mask_iou
from graphs.endings import Ending
from rl.rewards.base import Box, Cut, Play
from rl.rewards.matching import best_pairs

_MIN_IOU = 0.5


def is_right(play: Play) -> bool:
    """Return whether the target was rightly said to be absent, or else was hit: an IoU above 0.5 on the frame answered.

    Masks are compared if the task has any, all objects taken together. Of boxes, each true object must have one of its
    own, and none may be left over.
    """
    if play.truth.absent:
        return play.ending == Ending.ABSENT
    if play.cut is not None:
        return _mask_hit(play.cut)
    true = play.answered_on.objects if play.answered_on else ()
    return _boxes_hit(play.boxes or (), [thing.box for thing in true])


def _mask_hit(cut: Cut) -> bool:
    # A frame that does not show the target has no true mask, or one without pixels, and there nothing is right.
    true = [mask for mask in cut.true if mask.any()]
    if not cut.predicted or not true:
        return False
    return mask_iou(np.logical_or.reduce(cut.predicted), np.logical_or.reduce(true)) > _MIN_IOU


def _boxes_hit(answered: Sequence[Box], true: Sequence[Box]) -> bool:
    if not true or len(answered) != len(true):
        return False
    hits = np.array([[box_iou(one, other) > _MIN_IOU for other in true] for one in answered], np.float64)
    return all(hits[pair] for pair in best_pairs(hits))
