"""Score one episode of Emblems against the exact masks. Every episode has a score; whatever failed scores zero."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evals.emblems.tasks import Ability, EmblemTask
from evals.metrics.clips import ClipScore, score_clip
from evals.metrics.overlap import box_iou, mask_iou
from graphs.endings import Ending
from graphs.episode import EpisodeResult
from tools.segmenters.base import Box, Mask
from tools.segmenters.prompts import box_of

LEAST_IOU = 0.5
"""A mask succeeds if its IoU on the keyframe is above this."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """What one episode came to.

    `iou` is that of the mask on the keyframe that the agent chose (absent and said so: 1), `j` and `f` are means over
    the clip, `box_iou` is that of the answered box with the true one there, which the policy alone answers for.
    Boxes are x1, y1, x2, y2 in pixels of the clip. `guess` is the chance that an object drawn blindly from those that
    the clip shows is the right one. `said` are the policy's own turns, so that a failure can be read.
    """

    task_id: str
    ability: Ability
    query: str
    ending: Ending
    failure: str
    success: bool
    iou: float
    j: float
    f: float
    keyframe: int | None
    boxes: tuple[Box | None, ...]
    box_iou: float
    turns: int
    searches: int
    seconds: float
    node_seconds: Mapping[str, float]
    guess: float
    said: tuple[str, ...]

    @property
    def j_and_f(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


def score_episode(task: EmblemTask, result: EpisodeResult, seconds: float) -> EpisodeRecord:
    """Score an episode that took `seconds`.

    Success is a mask IoU above 0.5 on the keyframe, or "absent" where it is absent; a wrong "absent", a wrong object
    and any ending without an answer are failures, whose masks are not looked at in the last case (J = F = 0).
    """
    truths, shown = _truth(task)
    right_absent = task.target is None and result.ending is Ending.ABSENT
    iou, overlap = (1.0, 1.0) if right_absent else _on_keyframe(task, result, truths)
    through = _through_clip(result, truths) if result.ending.answered else ClipScore(0.0, 0.0)
    return EpisodeRecord(
        task_id=task.task_id,
        ability=task.ability,
        query=task.query,
        ending=result.ending,
        failure=result.failure["message"] if result.failure else "",
        success=right_absent or iou > LEAST_IOU,
        iou=iou,
        j=through.j,
        f=through.f,
        keyframe=result.keyframe,
        boxes=tuple(instance.box for instance in result.instances),
        box_iou=overlap,
        turns=result.usage.turns,
        searches=result.usage.searches,
        seconds=seconds,
        node_seconds=result.usage.seconds,
        guess=1 / max(1, len(shown)) if task.target is not None else 0.0,
        said=tuple(turn.text for turn in result.conversation if turn.role == "assistant"),
    )


def _truth(task: EmblemTask) -> tuple[list[Mask], set[int]]:
    """Return the target's visible mask in every frame (empty if it is absent), and which objects the clip shows."""
    masks: list[Mask] = []
    shown: set[int] = set()
    for frame in range(len(task.clip)):
        ids = task.clip.render(frame)[1]
        shown.update(np.flatnonzero(np.bincount(ids.ravel() + 1)[1:]).tolist())
        masks.append(np.zeros(ids.shape, np.bool_) if task.target is None else ids == task.target)
    return masks, shown


def _on_keyframe(task: EmblemTask, result: EpisodeResult, truths: list[Mask]) -> tuple[float, float]:
    """Return the IoU of the mask and of the best box on the keyframe; 0 without an answer or without a target."""
    if not result.found or result.keyframe is None or task.target is None:
        return 0.0, 0.0
    truth = truths[result.keyframe]
    box, predicted = box_of(truth), result.masks.union(result.keyframe)
    if box is None:  # hidden in this very frame: nothing there can be right
        return 0.0, 0.0
    overlap = max((box_iou(i.box, box) for i in result.instances if i.box is not None), default=0.0)
    return (0.0 if predicted is None else mask_iou(predicted, truth)), overlap


def _through_clip(result: EpisodeResult, truths: list[Mask]) -> ClipScore:
    pairs = []
    for frame, truth in enumerate(truths):
        predicted = result.masks.union(frame)
        pairs.append((np.zeros_like(truth) if predicted is None else predicted, truth))
    return score_clip(pairs)
