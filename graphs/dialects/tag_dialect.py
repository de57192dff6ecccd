"""What dialects share whose actions are tags: how a turn is read, and how search results and keyframes are shown.

Tags and observations are Seg-ReSearch's, which is the only published system that has them; where it trusts retrieved
text this does not (see `neutral`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from graphs.actions import Action, Malformed
from graphs.conversation import Part, Text
from graphs.dialects.base import ShownFrame, ShownImage, View
from graphs.dialects.neutral import neutralise, one_line
from graphs.dialects.seg_research_answers import KEYFRAME_HINT, SEARCH_HINT, read_keyframe, read_search
from graphs.dialects.tags import Block, Blocks, find_blocks, tag_pattern
from tools.search.base import TextHit

MAX_BODY_CHARS = 320
"""Longer result bodies keep 319 characters and an ellipsis, as in the recorded rollouts."""

MAX_TURN_CHARS = 100_000
"""Far above any turn of 8,192 tokens; what precedes it in a runaway turn is thinking, and is not read."""

_MAX_TITLE_CHARS = 200
_HIT = re.compile(r"((?:^|(?<=[\u2028\u2029]))[^\S\n]*+\d++[^\S\n]*+\.[^\S\n]*+)[(\uff08](?=\s*+title\b)", re.I | re.M)
"""What starts a line of a body as a further hit would start."""
_MAX_NOTICE_CHARS = 1_000


@dataclass(frozen=True)
class ActionTag:
    """How an action tag is read, and what the policy is told if it cannot be.

    `read` gets the blocks of the turn up to the one that counts, which is the last of them.
    """

    read: Callable[[Sequence[Block]], Action]
    hint: str


def read_last(read: Callable[[str], Action]) -> Callable[[Sequence[Block]], Action]:
    """Make a reader of one body into one that reads the last block; like dialects it can be sent to another process."""
    return partial(_read_last, read)


def _read_last(read: Callable[[str], Action], blocks: Sequence[Block]) -> Action:
    return read(blocks[-1].body)


_STEPS: Mapping[str, ActionTag] = {
    "search": ActionTag(read_last(read_search), SEARCH_HINT),
    "keyframe": ActionTag(read_last(read_keyframe), KEYFRAME_HINT),
}


class TagDialect:
    """Read turns by their action tags and render observations; `answers` are the tags beside search and keyframe.

    `thinking` is the tag that thoughts stand in, and `any_hint` what a turn without any action is answered with.
    """

    def __init__(self, view: View, answers: Mapping[str, ActionTag], *, thinking: str, any_hint: str) -> None:
        self.view = view
        self._tags = {**_STEPS, **answers}
        self._pattern = tag_pattern(tuple(self._tags))
        self._thinking, self._any_hint = thinking, any_hint

    def parse(self, text: str) -> Action:
        """Parse one turn that the policy itself sampled: the last action tag outside thinking and quoted results.

        Never raises; linear in the length of the text, of which the last `MAX_TURN_CHARS` characters are read.
        """
        blocks = find_blocks(text[-MAX_TURN_CHARS:], self._pattern)
        tail = self._read_unclosed(blocks, blocks.unclosed) if blocks.unclosed else None
        if tail is not None and not isinstance(tail, Malformed):
            return tail
        if blocks.last_closed:
            return self._tags[blocks.last_closed.tag].read(blocks.closed)
        if tail is not None:
            return tail
        if blocks.hidden:
            close = f"</{self._thinking}>"
            return Malformed(f"the action stands inside <{self._thinking}> or <information>", f"Put it after {close}.")
        return Malformed("the turn has no action", self._any_hint)

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

    def _read_unclosed(self, blocks: Blocks, block: Block) -> Action:
        """Read the tag in which the turn ended: servers may drop the stop string, and output may be cut.

        A frame index must be followed by something, or it may be the first digits of a longer one.
        """
        tag = self._tags[block.tag]
        broken = Malformed(f"the turn ends inside <{block.tag}>", tag.hint)
        if block.tag == "keyframe" and block.body[-1:].isdigit():
            return broken
        if block.tag == "search" and "{" not in block.body:
            return broken
        action = tag.read((*blocks.closed, block))
        return broken if isinstance(action, Malformed) else action


def indexed(frames: Sequence[ShownFrame]) -> list[Part]:
    """Show each frame of a clip after its index, one under the other."""
    parts: list[Part] = []
    for number, frame in enumerate(frames):
        parts += [Text(f"{chr(10) if number else ''}frame {frame.index} "), frame.image]
    return parts


def _title(title: str) -> str:
    return one_line(title[: 2 * _MAX_TITLE_CHARS])[:_MAX_TITLE_CHARS]


def _body(snippet: str) -> str:
    body = neutralise(snippet[: 4 * MAX_BODY_CHARS])  # cut first: snippets may be megabytes
    body = _HIT.sub("\\1\u2039", body)  # only the bracket: bodies of several lines are published so, and stay so
    return body if len(body) <= MAX_BODY_CHARS else body[: MAX_BODY_CHARS - 1] + "…"
