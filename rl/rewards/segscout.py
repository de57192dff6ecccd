"""Segscout's own reward: the mask is what counts, "absent" is an answer, and searching pays only if it led there.

A right answer is worth up to 1. Nothing else is worth anything: no format, no thought, no search, no frame by itself.
`README.md` beside this file says which exploit of the published rewards each rule closes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.overlap import box_iou, mask_iou
from graphs.endings import Ending
from rl.rewards.answered import answered_boxes, ending_of
from rl.rewards.base import Play
from rl.rewards.matching import best_pairs


@dataclass(frozen=True)
class SegscoutSettings:
    """Shares of a right answer, which sum to 1, and what is taken off for each fault."""

    mask: float = 0.6
    """For the mean IoU of matched objects: every better pixel pays."""
    hit: float = 0.2
    """For the part of the objects whose IoU is above `hit_iou`."""
    keyframe: float = 0.1
    """For the visibility of the target on the answered frame, if it was hit there."""
    process: float = 0.1
    """For the part of the needed searches that were made and brought something new, if the answer is right."""
    wasted_search: float = 0.05
    malformed_turn: float = 0.05
    no_answer: float = 0.1
    hit_iou: float = 0.5
    max_faults: int = 4
    """Of each kind; more cost no more, so that a right answer is always worth more than none."""


class Segscout:
    """Score an episode, from -0.5 (no answer, and every fault) to 1; at least 0.1 for an answer that is hit."""

    name = "segscout"
    source = "Segscout"

    def __init__(self, settings: SegscoutSettings | None = None) -> None:
        self.settings = settings or SegscoutSettings()
        self.weights: Mapping[str, float] = {
            "mask": self.settings.mask,
            "hit": self.settings.hit,
            "keyframe": self.settings.keyframe,
            "process": self.settings.process,
            "wasted_searches": -self.settings.wasted_search,
            "malformed_turns": -self.settings.malformed_turn,
            "no_answer": -self.settings.no_answer,
        }

    def components(self, play: Play) -> dict[str, float]:
        """Return the shares, 0 to 1 each, and the faults, counted; all 0 if a part of the system broke."""
        ending = ending_of(play)
        if ending is not None and ending.broken:
            return dict.fromkeys(self.weights, 0.0)
        scores = self._answer_shares(play, ending)
        most = self.settings.max_faults
        return scores | {
            "process": scores["hit"] * _searched(play),
            "wasted_searches": float(min(wasted_searches(play), most)),
            "malformed_turns": float(min(play.facts.get("malformed", 0), most)),
            "no_answer": float(ending is None or not ending.answered),
        }

    def _answer_shares(self, play: Play, ending: Ending | None) -> dict[str, float]:
        """Return mask, hit and keyframe: all or nothing where something is absent, else by overlap."""
        if ending is Ending.ABSENT or play.truth.absent:
            right = float(ending is Ending.ABSENT and play.truth.absent)
            return {"mask": right, "hit": right, "keyframe": right}
        if ending is not Ending.FOUND:
            return {"mask": 0.0, "hit": 0.0, "keyframe": 0.0}
        overlaps = _overlaps(play)
        if 0 in overlaps.shape:
            return {"mask": 0.0, "hit": 0.0, "keyframe": 0.0}
        matched = np.array([overlaps[pair] for pair in best_pairs(overlaps)])
        # Objects too many count like objects too few, so neither a shower of boxes nor a single safe one pays.
        objects = max(overlaps.shape)
        hit = float((matched > self.settings.hit_iou).sum() / objects)
        frame = play.answered_on
        visible = frame.max_conn_area if frame else 0.0
        return {"mask": float(matched.sum() / objects), "hit": hit, "keyframe": hit * visible}


def _overlaps(play: Play) -> NDArray[np.float64]:
    """Return all IoUs, shape (answered, true): of masks if a segmenter was in the loop, else of boxes."""
    if play.cut is not None:
        # A true mask without pixels is no object: matching it with an empty mask must earn nothing.
        true_masks = [mask for mask in play.cut.true if mask.any()]
        masks = play.cut.predicted
        return _table([[mask_iou(mask, true) for true in true_masks] for mask in masks], len(true_masks))
    objects = play.answered_on.objects if play.answered_on else ()
    return _table([[box_iou(box, true.box) for true in objects] for box in answered_boxes(play)], len(objects))


def _table(rows: Sequence[Sequence[float]], columns: int) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(len(rows), columns)


def _searched(play: Play) -> float:
    """Return the part of the needed searches that brought something new, 1 if none is needed."""
    needed = len(play.truth.steps)
    return min(play.useful, needed) / needed if needed else 1.0


def wasted_searches(play: Play) -> int:
    """Return how many searches brought nothing new, or were more than are needed where that is known."""
    useful = min(play.useful, len(play.truth.steps)) if play.truth.steps_known else play.useful
    return max(play.searches - useful, 0)
