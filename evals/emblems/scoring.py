"""Score one episode of Emblems against the exact masks. Every episode has a score; whatever failed scores zero."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.emblems.guessing import guess_chance
from evals.emblems.tasks import Ability, EmblemTask
from evals.metrics.clips import ClipScore, score_clip
from evals.metrics.overlap import box_iou, mask_iou
from graphs.endings import Ending
from graphs.episode import EpisodeResult
from tools.segmenters.base import Box, Mask
from tools.segmenters.prompts import box_of

LEAST_IOU = 0.5
"""A mask succeeds if its IoU on the keyframe is above this."""

UnionOf = Callable[[int], Mask | None]
"""Returns all instances' masks of a frame in one, boolean (height, width), None if none was cut there."""


@dataclass(frozen=True)
class Score:
    """How good an answer is, all 0 to 1: IoU of mask and box on its keyframe, J and F as means through the clip."""

    success: bool
    iou: float
    box_iou: float
    j: float
    f: float

    @property
    def j_and_f(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """What one episode came to.

    `iou` is that of the mask on the keyframe that the agent chose (absent and said so: 1), `j` and `f` are means over
    the clip, `box_iou` is that of the answered box with the true one there, which the policy alone answers for.
    `present` says whether there is a target at all. Boxes are x1, y1, x2, y2 in pixels of the clip. `guess` is the
    chance of guessing right from query and clip without a lookup (see `guess_chance`). `said` are the policy's own
    turns, so that a failure can be read.
    """

    task_id: str
    ability: Ability
    query: str
    present: bool
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
    """Score an episode that took `seconds`."""
    truths, shown = truth_of(task)
    boxes = tuple(instance.box for instance in result.instances)
    score = score_answer(task, truths, result.ending, result.keyframe, boxes, result.masks.union)
    return EpisodeRecord(
        task_id=task.task_id,
        ability=task.ability,
        query=task.query,
        present=task.target is not None,
        ending=result.ending,
        failure=result.failure["message"] if result.failure else "",
        success=score.success,
        iou=score.iou,
        j=score.j,
        f=score.f,
        keyframe=result.keyframe,
        boxes=boxes,
        box_iou=score.box_iou,
        turns=result.usage.turns,
        searches=result.usage.searches,
        seconds=seconds,
        node_seconds=result.usage.seconds,
        guess=guess_chance(task, shown),
        said=tuple(turn.text for turn in result.conversation if turn.role == "assistant"),
    )


def score_answer(
    task: EmblemTask,
    truths: Sequence[Mask],
    ending: Ending,
    keyframe: int | None,
    boxes: Sequence[Box | None],
    union: UnionOf,
) -> Score:
    """Score how an episode on `task` ended; `truths` are the target's masks by frame, see `truth_of`.

    Success is a mask IoU above 0.5 on the keyframe, or "absent" where it is absent. An ending without an answer and a
    wrong "absent" score nothing: neither earns anything for frames in which the target is hidden.
    """
    present = task.target is not None
    if ending is Ending.ABSENT:
        right = float(not present)
        return Score(not present, right, right, right, right)
    iou, overlap = _on_keyframe(truths, keyframe, boxes, union) if present and ending is Ending.FOUND else (0.0, 0.0)
    through = _through_clip(truths, union) if ending is Ending.FOUND else ClipScore(0.0, 0.0)
    return Score(iou > LEAST_IOU, iou, overlap, through.j, through.f)


def truth_of(task: EmblemTask) -> tuple[list[Mask], set[int]]:
    """Return the target's visible mask in every frame (empty if it is absent), and which objects the clip shows."""
    masks: list[Mask] = []
    shown: set[int] = set()
    for frame in range(len(task.clip)):
        ids = task.clip.render(frame)[1]
        shown.update(np.flatnonzero(np.bincount(ids.ravel() + 1)[1:]).tolist())
        masks.append(np.zeros(ids.shape, np.bool_) if task.target is None else ids == task.target)
    return masks, shown


def _on_keyframe(
    truths: Sequence[Mask], keyframe: int | None, boxes: Sequence[Box | None], union: UnionOf
) -> tuple[float, float]:
    """Return the IoU of the mask and of the best box on the keyframe; 0 without one."""
    if keyframe is None:
        return 0.0, 0.0
    truth = truths[keyframe]
    box, predicted = box_of(truth), union(keyframe)
    if box is None:  # hidden in this very frame: nothing there can be right
        return 0.0, 0.0
    overlap = max((box_iou(one, box) for one in boxes if one is not None), default=0.0)
    return (0.0 if predicted is None else mask_iou(predicted, truth)), overlap


def _through_clip(truths: Sequence[Mask], union: UnionOf) -> ClipScore:
    pairs = []
    for frame, truth in enumerate(truths):
        predicted = union(frame)
        pairs.append((np.zeros_like(truth) if predicted is None else predicted, truth))
    return score_clip(pairs)
