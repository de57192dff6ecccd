"""Recorded Seg-ReSearch rollouts as plays, with the components that were recorded, and how many of them we recompute.

The published records lack the expert's steps, so IGR cannot be recomputed from them. What they do allow is narrow: for
a prompt with steps, process is one of two values; for a prompt without, it is the format alone. Steps belong to the
prompt, so which of the two holds is decided once for all rollouts of a prompt, by which agrees with more of them.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Json

from rl.rewards.base import FrameTruth, ObjectTruth, Play, PlayTurn, Truth, total
from rl.rewards.seg_research import SegResearch, process_score
from rl.rewards.seg_research_text import first_keyframe, first_text_query

COMPONENTS = ("iou_score", "box_l1_score", "point_l1_score", "keyframe_score", "num_search", "process_score")
TOLERANCE = 1e-9
_OBSERVATION = re.compile(r"(<\|im_end\|>\n<\|im_start\|>user\n.*?<\|im_start\|>assistant\n)", re.DOTALL)


class _Frame(BaseModel):
    bbox_2d: tuple[float, float, float, float]
    point_2d: tuple[float, float]
    area: float
    max_conn_area: float


class Rollout(BaseModel):
    """The fields of a record that scoring needs; `steps` are in none of the published files."""

    input: str
    output: str
    gts: Json[dict[int, _Frame]]
    steps: list[str] | None = None
    iou_score: float
    box_l1_score: float
    point_l1_score: float
    keyframe_score: float
    num_search: float
    process_score: float
    score: float

    def play(self) -> Play:
        """Return the rollout as a reward sees it."""
        frames = {
            index: FrameTruth((ObjectTruth(frame.bbox_2d, frame.point_2d),), frame.area, frame.max_conn_area)
            for index, frame in self.gts.items()
        }
        truth = Truth(frames, tuple(self.steps or ()), steps_known=self.steps is not None)
        return Play(split_rollout(self.output), truth, keyframe=first_keyframe(self.output))


@dataclass(frozen=True)
class Matches:
    """How many records there are, and in how many each component is what was recorded."""

    records: int
    match: dict[str, int]


def split_rollout(output: str) -> tuple[PlayTurn, ...]:
    """Split a decoded rollout into turns that join to exactly the same text; turn tokens go to the observations."""
    pieces = _OBSERVATION.split(output)
    return tuple(PlayTurn("observation" if number % 2 else "policy", text) for number, text in enumerate(pieces))


def count_matches(rollouts: Sequence[Rollout]) -> Matches:
    """Recompute every component of every rollout, as released, and count those within `TOLERANCE` of the record."""
    reward = SegResearch(as_released=True)
    groups: dict[str, list[tuple[Rollout, Play]]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.input].append((rollout, rollout.play()))
    match = dict.fromkeys((*COMPONENTS, "score"), 0)
    for group in groups.values():
        plain = [process_score(play.text, expert_like=None) for _, play in group]
        graded = [_likelier(play.text, rollout.process_score) for rollout, play in group]
        recorded = [rollout.process_score for rollout, _ in group]
        inferred = plain if _agreeing(plain, recorded) > _agreeing(graded, recorded) else graded
        for (rollout, play), process in zip(group, inferred, strict=True):
            found = reward.components(play)
            if rollout.steps is None:
                found["process_score"] = process
            found["score"] = total(reward, found)
            for name in match:
                match[name] += _near(found[name], getattr(rollout, name))
    return Matches(len(rollouts), match)


def _likelier(text: str, recorded: float) -> float:
    """Return which value IGR allows lies nearer to the record; without a text query IGR has no choice."""
    allowed = [process_score(text, expert_like=False)]
    if first_text_query(text) is not None:
        allowed.append(process_score(text, expert_like=True))
    return min(allowed, key=lambda value: abs(value - recorded))


def _agreeing(ones: Sequence[float], others: Sequence[float]) -> int:
    return sum(map(_near, ones, others))


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE
