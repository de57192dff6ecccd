"""How dialects show what came back: search results, frames, hints and notices.

The shapes are Seg-ReSearch's, which is the only published system that has them; where it trusts retrieved text this
does not (see `neutral`).
"""

import re
from collections.abc import Sequence

from graphs.actions import Malformed
from graphs.conversation import Part, Text, join
from graphs.dialects.base import ShownFrame, ShownImage
from graphs.dialects.neutral import neutralise, one_line
from graphs.tool_calls import Toolset
from tools.search.base import TextHit

MAX_BODY_CHARS = 320
"""Longer result bodies keep 319 characters and an ellipsis, as in the recorded rollouts."""

_MAX_TITLE_CHARS = 200
_FORGED = re.compile(
    r"((?:^|(?<=[\u2028\u2029]))[^\S\n]*+\d++[^\S\n]*+\.[^\S\n]*+)[(\uff08](?=\s*+title\b)", re.I | re.M
)
"""What starts a line of a body as a further hit would start."""
_MAX_NOTICE_CHARS = 1_000


class Observations:
    """Render observations as Seg-ReSearch does, retrieved text between <information> and </information>."""

    _forged = _FORGED
    """Finds what in a body looks like the head of a further hit; the bracket after its first group is defused."""

    def text_results(self, hits: Sequence[TextHit], *, first: int = 1) -> tuple[Part, ...]:
        """Render text hits, best first; protocol tags and further hits inside them are neutralised."""
        lines = [
            f"{self._head(place, first, _title(hit.title))} {self._body(hit.snippet)}\n"
            for place, hit in enumerate(hits)
        ]
        return (Text(f"<information>{''.join(lines) or 'No results.'}</information>\n\n"),)

    def image_results(self, hits: Sequence[ShownImage], *, first: int = 1) -> tuple[Part, ...]:
        """Render searched pictures, each after the name of what it shows."""
        parts: list[Part] = [Text("<information>" if hits else "<information>No results.")]
        for place, hit in enumerate(hits):
            parts += [Text(f"{self._head(place, first, _title(hit.name))} "), hit.image, Text("\n")]
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

    def observation(self, said: str, pieces: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
        """Put what came back after the turn `said` one under the other."""
        return join(*pieces)

    def tools(self, *, search: bool, last: bool) -> Toolset | None:
        """Return None: actions are spelled in the text."""
        return None

    def _head(self, place: int, first: int, title: str) -> str:
        """Return what stands before a hit's body; here hits are counted from 1 in each observation."""
        return f"{place + 1}. (Title: {title})"

    def _body(self, snippet: str) -> str:
        body = neutralise(snippet[: 4 * MAX_BODY_CHARS])  # cut first: snippets may be megabytes
        body = self._forged.sub("\\1\u2039", body)  # only the bracket: bodies of several lines are published so
        return body if len(body) <= MAX_BODY_CHARS else body[: MAX_BODY_CHARS - 1] + "…"


def indexed(frames: Sequence[ShownFrame]) -> list[Part]:
    """Show each frame of a clip after its index, one under the other."""
    parts: list[Part] = []
    for number, frame in enumerate(frames):
        parts += [Text(f"{chr(10) if number else ''}frame {frame.index} "), frame.image]
    return parts


def _title(title: str) -> str:
    return one_line(title[: 2 * _MAX_TITLE_CHARS])[:_MAX_TITLE_CHARS]
