"""The dialects of VisionReasoner (arXiv 2505.12081), several objects, and of Seg-Zero (arXiv 2503.06520), one object.

The sentences of their questions stand here as published, without anything between them, because the public checkpoints
were trained on them; Seg-Zero's example has JSON's quotes, though, since what copies the published one cannot be parsed
by their own code. Where that code loses a whole answer (fences, single quotes, a missing point, a list cut short), this
one keeps what can be read. Coordinates: pixels of the square picture (840 as published) in the text, 0..1 in `Target`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Literal

from graphs.actions import Action, Answer, Malformed
from graphs.dialects.base import View
from graphs.dialects.lenient_json import MAX_CHARS
from graphs.dialects.pixels import PixelDialect
from graphs.dialects.seg_research_answers import AnswerForm, read_answer
from graphs.dialects.tag_dialect import ActionTag, read_last

MAX_OBJECTS = 120
"""Objects beyond this many are left out, as in VisionReasoner's reward."""

FormName = Literal["vision_reasoner", "seg_zero"]

_FLAT = re.compile(r"\{[^{}]*+\}")


@dataclass(frozen=True)
class _Form:
    find: str
    compare: str
    places: str
    example: str
    box: str
    point: str
    shape: str


_FORMS: Mapping[FormName, _Form] = MappingProxyType(
    {
        "vision_reasoner": _Form(
            find='Please find "{query}" with bboxs and points.',
            compare="Compare the difference between object(s) and find the most closely matched object(s).",
            places="Output the bbox(es) and point(s) inside the interested object(s) in JSON format.",
            example='[{"bbox_2d": [10,100,200,210], "point_2d": [30,110]}, '
            '{"bbox_2d": [225,296,706,786], "point_2d": [302,410]}]',
            box="bbox_2d",
            point="point_2d",
            shape='[{"bbox_2d": [x1,y1,x2,y2], "point_2d": [x,y]}]',
        ),
        "seg_zero": _Form(
            find="Please find '{query}' with bbox and points.",
            compare="Compare the difference between objects and find the most closely matched one.",
            places="Output the one bbox and points of two largest inscribed circles inside the interested object "
            "in JSON format.",
            example='{"bbox": [10,100,200,210], "points_1": [30,110], "points_2": [35,180]}',
            box="bbox",
            point="points_1",
            shape='{"bbox": [x1,y1,x2,y2], "points_1": [x,y], "points_2": [x,y]}',
        ),
    }
)


class VisionReasoner(PixelDialect):
    """Render and parse the conversation of VisionReasoner or, with `form` "seg_zero", of Seg-Zero.

    `prompt` "published" is the question of the papers; "compact" leaves out the sentences on comparing and on places,
    which VisionReasoner's authors found to score higher (a remark in their code since 2026-01-27).
    """

    stop: tuple[str, ...] = ("</search>", "</keyframe>", "</answer>")

    def __init__(
        self,
        view: View,
        prompt: Literal["published", "compact"] = "published",
        form: FormName = "vision_reasoner",
    ) -> None:
        self.name: str = form
        self.prompt = prompt
        self._form = _FORMS[form]
        side = view.keyframe_size
        hint = (
            f"Write <answer>{self._form.shape}</answer> with numbers from 0 to {side}, "
            "or <answer>[]</answer> if nothing matches."
        )
        asked = AnswerForm(side, self._form.box, self._form.point, hint, MAX_OBJECTS)
        read = read_last(partial(read_objects, form=asked))
        super().__init__(view, {"answer": ActionTag(read, hint)}, any_hint=hint)

    def _role(self) -> str:
        """Return the system prompt that training sends, and that the chat template adds where there is none."""
        return "You are a helpful assistant."

    def _question(self, query: str) -> str:
        """Return the question; the query is cleaned as VisionReasoner cleans it."""
        form = self._form
        full = self.prompt == "published"
        return "".join(
            (
                form.find.replace("{query}", query.lower().strip('.?!" ')),
                form.compare if full else "",
                "Output the thinking process in <think> </think> and final answer in <answer> </answer> tags.",
                form.places if full else "",
                f"i.e., <think> thinking process here </think><answer>{form.example}</answer>",
            )
        )


def read_objects(body: str, form: AnswerForm) -> Action:
    """Read the inside of an answer tag; of a list that is broken or cut short, the objects that are whole."""
    action = read_answer(body, form)
    if not isinstance(action, Malformed):
        return action
    pieces = islice(_FLAT.finditer(body[:MAX_CHARS]), form.most)
    read = [read_answer(piece.group(), form) for piece in pieces]
    targets = tuple(target for one in read if isinstance(one, Answer) for target in one.targets)
    return Answer(targets) if targets else action
