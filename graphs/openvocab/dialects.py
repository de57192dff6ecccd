"""How policies are asked what is in a picture and where: any instructed model in JSON, the shipped one in its own form.

Pure: questions out, readings in. Readers raise ValueError for a reply that says nothing usable.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphs.actions import Answer, Box
from graphs.conversation import ImageRef, Text, Turn
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.seg_research import SegResearch, keyframe_turn
from graphs.openvocab import questions, replies
from graphs.openvocab.questions import Question
from graphs.openvocab.reasons import ClassReason


@dataclass(frozen=True)
class Shown:
    """The picture as the policy sees it, for the whole and for places; the same where a policy needs but one."""

    overview: ImageRef
    detail: ImageRef


class ReasoningDialect(Protocol):
    """Ask the steps of reasoning; a question of None means that the description holds the answer already."""

    name: str
    overview_side: int
    """Side in pixels of the square that the picture is shown as."""
    detail_side: int

    def describe(self, shown: Shown) -> Question:
        """Ask for the description."""
        ...

    def read_description(self, text: str) -> str:
        """Return the description."""
        ...

    def shortlist(self, shown: Shown, description: str, names: Sequence[str]) -> Question | None:
        """Ask which of some class names can be seen."""
        ...

    def read_shortlist(self, text: str) -> list[str]:
        """Return candidates from the answer, or from the description if there was no question."""
        ...

    def reason(self, shown: Shown, candidates: Sequence[str], most: int) -> Question | None:
        """Ask for at most `most` attributes of each candidate, coarse to fine."""
        ...

    def read_reasons(self, text: str) -> dict[str, ClassReason]:
        """Return reasons by candidate, from the answer, or from the description if there was no question."""
        ...

    def locate(self, shown: Shown, name: str, description: str) -> Question:
        """Ask for the boxes of a class."""
        ...

    def read_boxes(self, text: str) -> list[Box]:
        """Return boxes 0..1 of the picture; none if it is said to be absent."""
        ...


class JsonReasoning:
    """Ask an instructed vision-language model with JSON schemas."""

    name = "json"

    def __init__(self, side: int = 896) -> None:
        """Show pictures as squares of `side` pixels."""
        self.overview_side = self.detail_side = side

    def describe(self, shown: Shown) -> Question:
        """Ask for the description."""
        return questions.describe_question(shown.overview)

    def read_description(self, text: str) -> str:
        """Return the description."""
        return replies.read_description(text)

    def shortlist(self, shown: Shown, description: str, names: Sequence[str]) -> Question | None:
        """Ask which of some class names can be seen."""
        return questions.shortlist_question(shown.overview, description, names)

    def read_shortlist(self, text: str) -> list[str]:
        """Return the candidates."""
        return replies.read_names(text)

    def reason(self, shown: Shown, candidates: Sequence[str], most: int) -> Question | None:
        """Ask for attributes of each candidate, coarse to fine."""
        return questions.reason_question(shown.overview, candidates, most)

    def read_reasons(self, text: str) -> dict[str, ClassReason]:
        """Return reasons by candidate."""
        return replies.read_reasons(text)

    def locate(self, shown: Shown, name: str, description: str) -> Question:
        """Ask for the boxes of a class."""
        return questions.locate_question(shown.detail, name)

    def read_boxes(self, text: str) -> list[Box]:
        """Return boxes 0..1 of the picture."""
        return replies.read_boxes(text)


_LISTING = re.compile(r"left to right:\s*([^.<]+)", re.IGNORECASE)
_MOST_LISTED = 64


class ListingReasoning:
    """Ask the embedded policy, which lists the emblems of a frame from left to right and knows no other description.

    The listing is all three steps at once: what is there, and the pattern, colour and shape by which it is known.
    It is shown where to look in the words that it was trained to say itself before it points.
    """

    name = "listing"
    overview_side = 224
    detail_side = 448

    def __init__(self) -> None:
        view = View(frames=1, frame_size=self.overview_side, keyframe_size=self.detail_side, image_size=128)
        self._dialect = SegResearch(view, "compact")

    def describe(self, shown: Shown) -> Question:
        """Ask for the listing."""
        turns = (_turn("system", "List the objects."), Turn("user", (Text("frame 0 "), shown.overview)))
        return Question(turns, stop=("</thinking>",), max_tokens=160)

    def read_description(self, text: str) -> str:
        """Return the listing."""
        return f"Left to right: {', '.join(_listed(text))}."

    def shortlist(self, shown: Shown, description: str, names: Sequence[str]) -> Question | None:
        """Ask nothing."""
        return None

    def read_shortlist(self, text: str) -> list[str]:
        """Return what is listed, each once."""
        return list(dict.fromkeys(_listed(text)))

    def reason(self, shown: Shown, candidates: Sequence[str], most: int) -> Question | None:
        """Ask nothing."""
        return None

    def read_reasons(self, text: str) -> dict[str, ClassReason]:
        """Return the words of each emblem as its attributes, the coarsest (its shape) first."""
        return {name: ClassReason(attributes=tuple(reversed(name.split()))) for name in _listed(text)}

    def locate(self, shown: Shown, name: str, description: str) -> Question:
        """Show the picture closely and have the policy answer."""
        first = ShownFrame(0, shown.overview)
        turns = (
            _turn("system", self._dialect.system(search=False)),
            Turn("user", self._dialect.task(f"the {name}", [first])),
            _turn("assistant", keyframe_turn(f"{description} The target is the {name}, clearest in frame 0.", 0)),
            Turn("user", self._dialect.keyframe(ShownFrame(0, shown.detail))),
        )
        return Question(turns, stop=("</answer>",), max_tokens=96)

    def read_boxes(self, text: str) -> list[Box]:
        """Return the answered boxes."""
        action = self._dialect.parse(text)
        if not isinstance(action, Answer):
            raise ValueError("there is no answer")
        return [target.box for target in action.targets if target.box is not None]


def _turn(role: str, text: str) -> Turn:
    assert role in ("system", "user", "assistant")
    return Turn(role, (Text(text),))  # type: ignore[arg-type]


def _listed(text: str) -> list[str]:
    found = _LISTING.search(text)
    names = [" ".join(part.split()) for part in found.group(1).split(",")] if found else []
    if not any(names):
        raise ValueError("nothing is listed")
    return [name for name in names if name][:_MOST_LISTED]
