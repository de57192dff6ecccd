"""The dialect of Seg-ReSearch (iSEE-Laboratory, arXiv 2602.04454): think, search, choose a keyframe, answer.

Shapes of tags and observations are those its checkpoints were trained on; where the published parser is brittle this
one is tolerant (see `seg_research_answers`), and where it trusts retrieved text this one does not (see `neutral`).
Coordinates: integers 0..1000 of the frame in the text, 0..1 in `Target`.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal

from graphs.actions import Action, Box, Malformed, Point, Target
from graphs.conversation import Part, Text
from graphs.dialects.base import ShownFrame, ShownImage, View
from graphs.dialects.neutral import neutralise, one_line
from graphs.dialects.seg_research_answers import (
    ANSWER_HINT,
    KEYFRAME_HINT,
    SCALE,
    SEARCH_HINT,
    read_answer,
    read_keyframe,
    read_search,
)
from graphs.dialects.seg_research_prompts import (
    COMPACT_NO_SEARCH,
    COMPACT_SEARCH,
    PUBLISHED_NO_SEARCH,
    PUBLISHED_SEARCH,
)
from graphs.dialects.tags import Block, find_blocks, tag_pattern
from tools.search.base import TextHit

MAX_BODY_CHARS = 320
"""Longer result bodies keep 319 characters and an ellipsis, as in the recorded rollouts."""

MAX_TURN_CHARS = 100_000
"""Far above any turn of 8,192 tokens; what precedes it in a runaway turn is thinking, and is not read."""

_MAX_TITLE_CHARS = 200
_HIT = re.compile(r"((?:^|(?<=[\u2028\u2029]))[^\S\n]*+\d++[^\S\n]*+\.[^\S\n]*+)[(\uff08](?=\s*+title\b)", re.I | re.M)
"""What starts a line of a body as a further hit would start."""
_MAX_NOTICE_CHARS = 1_000
_READERS = {"search": read_search, "keyframe": read_keyframe, "answer": read_answer}
_PATTERN = tag_pattern(tuple(_READERS))
_ANY_HINT = "End the turn with <search>, <keyframe> or <answer>, and its closing tag."


class SegResearch:
    """Render and parse Seg-ReSearch's conversation.

    `prompt` chooses the system prompt: "published" explains the format (structure of the original), "compact" is for
    policies that were trained on this very format and pay for every token.
    """

    name = "seg_research"
    stop: tuple[str, ...] = ("</search>", "</keyframe>", "</answer>")

    def __init__(self, view: View, prompt: Literal["published", "compact"] = "published") -> None:
        self.view = view
        self.prompt = prompt

    def system(self, *, search: bool) -> str:
        """Return the system prompt, with or without the search tools."""
        if self.prompt == "compact":
            return COMPACT_SEARCH if search else COMPACT_NO_SEARCH
        return PUBLISHED_SEARCH if search else PUBLISHED_NO_SEARCH

    def task(self, query: str, frames: Sequence[ShownFrame]) -> tuple[Part, ...]:
        """Render the first user turn: each frame after its index, then the question."""
        parts: list[Part] = []
        for number, frame in enumerate(frames):
            parts += [Text(f"{chr(10) if number else ''}frame {frame.index} "), frame.image]
        return (*parts, Text(f"\n\nPlease find '{one_line(query)}' in the provided video."))

    def parse(self, text: str) -> Action:
        """Parse one turn that the policy itself sampled: the last action tag outside thinking and quoted results.

        Never raises; linear in the length of the text, of which the last `MAX_TURN_CHARS` characters are read.
        """
        blocks = find_blocks(text[-MAX_TURN_CHARS:], _PATTERN)
        tail = _read_unclosed(blocks.unclosed) if blocks.unclosed else None
        if tail is not None and not isinstance(tail, Malformed):
            return tail
        if blocks.last_closed:
            return _READERS[blocks.last_closed.tag](blocks.last_closed.body)
        if tail is not None:
            return tail
        if blocks.hidden:
            return Malformed("the action stands inside <thinking> or <information>", "Put it after </thinking>.")
        return Malformed("the turn has no action", _ANY_HINT)

    def text_results(self, hits: Sequence[TextHit]) -> tuple[Part, ...]:
        """Render text hits, best first; protocol tags and further hits inside them are neutralised."""
        lines = [f"{n}. (Title: {_title(hit.title)}) {_body(hit.snippet)}\n" for n, hit in enumerate(hits, 1)]
        return (Text(f"<information>{''.join(lines) or 'No results.'}</information>\n\n"),)

    def image_results(self, hits: Sequence[ShownImage]) -> tuple[Part, ...]:
        """Render searched pictures, each after the name of what it shows."""
        parts: list[Part] = [Text("<information>" if hits else "<information>No results.")]
        for number, hit in enumerate(hits, 1):
            parts += [Text(f"{number}. (Title: {_title(hit.name)}) "), hit.image, Text("\n")]
        return (*parts, Text("</information>\n\n"))

    def keyframe(self, frame: ShownFrame) -> tuple[Part, ...]:
        """Render the high-resolution frame."""
        return (Text("Here is the high-res version of your selected frame: "), frame.image)

    def repair(self, malformed: Malformed) -> tuple[Part, ...]:
        """Render one precise hint after a malformed turn."""
        return (Text(f"Your last turn could not be used: {one_line(malformed.reason)}. {malformed.hint}"),)

    def notice(self, text: str) -> tuple[Part, ...]:
        """Render a plain notice in one line; tags inside it are neutralised."""
        return (Text(one_line(text[:_MAX_NOTICE_CHARS])),)


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


def _title(title: str) -> str:
    return one_line(title[: 2 * _MAX_TITLE_CHARS])[:_MAX_TITLE_CHARS]


def _body(snippet: str) -> str:
    body = neutralise(snippet[: 4 * MAX_BODY_CHARS])  # cut first: snippets may be megabytes
    body = _HIT.sub("\\1\u2039", body)  # only the bracket: bodies of several lines are published so, and stay so
    return body if len(body) <= MAX_BODY_CHARS else body[: MAX_BODY_CHARS - 1] + "…"


def _read_unclosed(block: Block) -> Action:
    """Read the tag in which the turn ended: servers may drop the stop string, and output may be cut.

    A frame index must be followed by something, or it may be the first digits of a longer one.
    """
    if block.tag == "keyframe" and block.body[-1:].isdigit():
        return Malformed("the turn ends inside <keyframe>", KEYFRAME_HINT)
    if block.tag == "search" and "{" not in block.body:
        return Malformed("the turn ends inside <search>", SEARCH_HINT)
    action = _READERS[block.tag](block.body)
    if isinstance(action, Malformed):
        hint = {"search": SEARCH_HINT, "keyframe": KEYFRAME_HINT, "answer": ANSWER_HINT}[block.tag]
        return Malformed(f"the turn ends inside <{block.tag}>", hint)
    return action
