"""Seg-ReSearch's reward: outcome (box, point and frame) plus process (an expert-like first query, and any searching).

Published behaviour to the digit, its exploits included; `README.md` beside this file lists them. One thing is mended:
only turns of the policy are read, since what our graph shows in between spells actions, too (hints that say how to
write one). It knows one object a frame: of several true ones, the first counts. Source: arXiv 2602.04454 and its
`okvos` reward manager.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from rl.rewards.base import ObjectTruth, Play, Truth
from rl.rewards.geometry import box_distance, inside, pixel_iou, read_box, read_point
from rl.rewards.seg_research_text import (
    count_search_tags,
    count_thought_searches,
    first_answer,
    first_keyframe,
    first_text_query,
    is_well_formed,
)

if TYPE_CHECKING:
    from tools.embedders.mean_pooling import MeanPoolingEmbedder

Likeness = Callable[[str, Sequence[str]], float]
"""How like a text is to the most similar of several others, -1 to 1."""

_MIN_IOU = 0.5
_MAX_BOX_DISTANCE = 10.0
_MAX_POINT_DISTANCE = 100.0
_MIN_LIKENESS = 0.5
_TAPER = 0.7
_MAX_SEARCHES = 10
_ELSE = "\n…\n"
"""Stands for what is not read: no action, and nothing that joins the turns around it."""
_OUTCOME = ("iou_score", "box_l1_score", "point_l1_score", "keyframe_score")


class SegResearch:
    """Score as Seg-ReSearch's training did: five parts of 0 to 1 each; `num_search` is reported only.

    `likeness` compares a query with the expert's steps, by default MiniLM's cosine, loaded when it is first needed.
    Read are the policy's turns, without those that could not be used; `as_released`, all of the rollout, so that what
    it was shown counts like its own words.
    """

    name = "seg-research"
    source = "Seg-ReSearch (arXiv 2602.04454), training reward"
    weights: Mapping[str, float] = MappingProxyType(dict.fromkeys((*_OUTCOME, "process_score"), 1.0))

    def __init__(self, likeness: Likeness | None = None, *, as_released: bool = False) -> None:
        self._likeness = likeness or minilm_likeness
        self._as_released = as_released

    def components(self, play: Play) -> dict[str, float]:
        """Return the five parts and `num_search`; EmbedderError if MiniLM is needed and not installed."""
        text = play.text if self._as_released else _said(play)
        steps = play.truth.steps
        process = process_score(text, expert_like=self._expert_like(text, steps) if steps else None)
        searches = float(count_search_tags(text))
        return outcome_scores(text, play.truth) | {"process_score": process, "num_search": searches}

    def _expert_like(self, text: str, steps: Sequence[str]) -> bool:
        """Return whether the first text query is like any of the expert's steps (IGR)."""
        query = first_text_query(text)
        return query is not None and self._likeness(query, steps) > _MIN_LIKENESS


def _said(play: Play) -> str:
    """Return the usable turns of the policy in one text, laid out as in a rollout: something else stands between."""
    return "".join(turn.text if turn.role == "policy" and not turn.malformed else _ELSE for turn in play.turns)


def outcome_scores(text: str, truth: Truth) -> dict[str, float]:
    """Return the four parts that judge frame, box and point, in 0..1000 of the frame; all 0 on a wrong frame."""
    scores = dict.fromkeys(_OUTCOME, 0.0)
    frame, answer = first_keyframe(text), first_answer(text)
    shown = truth.frames.get(frame) if frame is not None else None
    if answer is None or shown is None:
        return scores
    scores["keyframe_score"] = shown.max_conn_area
    if shown.objects:
        scores |= _place_scores(answer, shown.objects[0])
    return scores


def _place_scores(answer: Mapping[str, object], truth: ObjectTruth) -> dict[str, float]:
    box, point = read_box(answer.get("bbox_2d")), read_point(answer.get("point_2d"))
    if box is None:
        return {}
    near = point is not None and inside(point, box) and math.dist(point, truth.point) < _MAX_POINT_DISTANCE
    return {
        "iou_score": float(pixel_iou(box, truth.box, touching=False) > _MIN_IOU),
        "box_l1_score": float(box_distance(box, truth.box) < _MAX_BOX_DISTANCE),
        "point_l1_score": float(near),
    }


def process_score(text: str, *, expert_like: bool | None) -> float:
    """Return the process part: the mean of IGR and TPR, or, with `expert_like` None (no known steps), the format alone.

    TPR grows with every search that follows a thought and with a well-formed end: 1 - 0.3 ** count.
    """
    well_formed = is_well_formed(text)
    if expert_like is None:
        return float(well_formed)
    count = min(count_thought_searches(text), _MAX_SEARCHES) + well_formed
    return 0.5 * (expert_like + 1 - (1 - _TAPER) ** count)


def minilm_likeness(text: str, others: Sequence[str]) -> float:
    """Return the highest cosine of MiniLM's vectors of `text` and of any of `others`; EmbedderError without weights."""
    vectors = _minilm().embed_queries([text, *others])
    return float((vectors[1:] @ vectors[0]).max())


@cache
def _minilm() -> "MeanPoolingEmbedder":
    from tools.embedders.minilm import load_minilm  # late: torch is of no use to those who score nothing with it

    return load_minilm()
