"""The dialect of Seg-ReSearch (iSEE-Laboratory, arXiv 2602.04454): think, search, choose a keyframe, answer.

Shapes of tags and observations are those its checkpoints were trained on; where the published parser is brittle this
one is tolerant (see `seg_research_answers`), and where it trusts retrieved text this one does not (see `neutral`).
Coordinates: integers 0..1000 of the frame in the text, 0..1 in `Target`.
"""

import json
from collections.abc import Sequence
from typing import Literal

from graphs.actions import Box, Point, Target
from graphs.conversation import Part, Text
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.neutral import neutralise, one_line
from graphs.dialects.observations import indexed
from graphs.dialects.seg_research_answers import ANSWER_HINT, SCALE, read_answer
from graphs.dialects.seg_research_prompts import (
    COMPACT_NO_SEARCH,
    COMPACT_SEARCH,
    PUBLISHED_NO_SEARCH,
    PUBLISHED_SEARCH,
)
from graphs.dialects.tag_dialect import ActionTag, TagDialect, read_last

_TAGS = {"answer": ActionTag(read_last(read_answer), ANSWER_HINT)}
_ANY_HINT = "End the turn with <search>, <keyframe> or <answer>, and its closing tag."


class SegResearch(TagDialect):
    """Render and parse Seg-ReSearch's conversation.

    `prompt` chooses the system prompt: "published" explains the format (structure of the original), "compact" is for
    policies that were trained on this very format and pay for every token.
    """

    name = "seg_research"
    stop: tuple[str, ...] = ("</search>", "</keyframe>", "</answer>")

    def __init__(self, view: View, prompt: Literal["published", "compact"] = "published") -> None:
        super().__init__(view, _TAGS, thinking="thinking", any_hint=_ANY_HINT)
        self.prompt = prompt

    def system(self, *, search: bool) -> str:
        """Return the system prompt, with or without the search tools."""
        if self.prompt == "compact":
            return COMPACT_SEARCH if search else COMPACT_NO_SEARCH
        return PUBLISHED_SEARCH if search else PUBLISHED_NO_SEARCH

    def task(self, query: str, frames: Sequence[ShownFrame]) -> tuple[Part, ...]:
        """Render the first user turn: each frame after its index, then the question."""
        return (*indexed(frames), Text(f"\n\nPlease find '{one_line(query)}' in the provided video."))


def search_turn(thinking: str, tool: Literal["text_search", "image_search"], query: str) -> str:
    """Spell a search turn canonically."""
    call = json.dumps({"name": tool, "query": neutralise(query)}, ensure_ascii=False)
    return f"{_thinking(thinking)}\n<search> {call} </search>"


def keyframe_turn(thinking: str, frame: int) -> str:
    """Spell the turn that asks for clip frame `frame` in high resolution."""
    return f"{_thinking(thinking)}\n<keyframe> {frame} </keyframe>"


def answer_turn(thinking: str, box: Box, point: Point) -> str:
    """Spell an answer turn; `box` (x1, y1, x2, y2) and `point` (x, y) are normalised to 0..1 of the frame."""
    return f"{_thinking(thinking)}\n<answer> {json.dumps(_spell(box, point))} </answer>"


def targets_turn(thinking: str, targets: Sequence[Target]) -> str:
    """Spell an answer turn with several targets, each with a box; the first point of each is kept."""
    spelled = [
        _spell(t.box, t.points[0] if t.points else ((t.box[0] + t.box[2]) / 2, (t.box[1] + t.box[3]) / 2))
        for t in targets
        if t.box is not None
    ]
    return f"{_thinking(thinking)}\n<answer> {json.dumps(spelled)} </answer>"


def absent_turn(thinking: str) -> str:
    """Spell the answer that the target is in no frame."""
    return f'{_thinking(thinking)}\n<answer> {{"bbox_2d": [0, 0, 0, 0], "point_2d": [0, 0]}} </answer>'


def _thinking(thinking: str) -> str:
    return f"<thinking> {neutralise(thinking).strip()} </thinking>"


def _spell(box: Box, point: Point) -> dict[str, list[int]]:
    """Round to 0..1000, keeping at least one unit of width and height and the point within 0..1000."""
    x1, y1, x2, y2 = (min(max(round(value * SCALE), 0), int(SCALE)) for value in box)
    x1, y1 = min(x1, int(SCALE) - 1), min(y1, int(SCALE) - 1)
    x, y = (min(max(round(value * SCALE), 0), int(SCALE)) for value in point)
    return {"bbox_2d": [x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)], "point_2d": [x, y]}
