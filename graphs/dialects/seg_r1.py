"""The dialect of Seg-R1 (arXiv 2506.22624): boxes, points and labels, each in tags of its own, for one mask.

The answer is `<bbox>[x1,y1,x2,y2]</bbox>, <points>[[x,y],...]</points>, <labels>[1,0,...]</labels>`, labels 1 on the
target and 0 beside it; several `<bbox>` are several targets, each with the points that lie inside it, as the published
code prompts SAM 2. That code evaluates what it captures, takes exponential time on lists cut short, and drops floats,
signs, round brackets and empty lists; here they are read, in linear time, and empty lists mean that nothing matches.

Coordinates: pixels of the published square picture in the text, 0..1 in `Target`. The published sizes are no multiples
of Qwen2.5-VL's 28-pixel cell, so its processor shows 768 as 756 and 1024 as 1036: those are the sizes of a `View`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Literal

from graphs.actions import Action, Answer, Box, Malformed, Point, Target
from graphs.dialects.base import View
from graphs.dialects.coordinates import flatten, read_box, read_numbers, read_points
from graphs.dialects.lenient_json import read_lenient
from graphs.dialects.pixels import PixelDialect
from graphs.dialects.tag_dialect import ActionTag
from graphs.dialects.tags import MAX_TURN_CHARS, Block

PUBLISHED_SIDES: Mapping[int, int] = MappingProxyType({756: 768, 1036: 1024})
"""The side in whose pixels answers are, by the side of the picture that is shown; elsewhere they are the same."""

MAX_BLOCKS = 64
"""Tags of one kind, and boxes, beyond this many are left out."""

MAX_POINTS = 256
"""Points beyond this many are left out."""

_BOXES = ("bbox", "box")  # the project page shows <box>
_KINDS = (*_BOXES, "points", "labels")
_OPEN_BOX = re.compile(r"<b?box>\s{0,9}+\[[^\[\]<>]{0,99}+\](?!\s{0,9}+</)", re.IGNORECASE)
"""A box that is not closed, which one of the published parsers takes, too."""

_FORMAT = """\
The user asks for objects in a picture. First think about what they are and where, then give what a segmentation \
model needs to cut them out: bounding boxes, points, and for each point the label 1 if it is on the object or 0 if it \
is on the background. {advice}Numbers are pixels of the picture.
Output the thinking process in <think> </think>, each box in <bbox> </bbox>, the points in <points> </points> and \
their labels in <labels> </labels> tags, i.e., <think> thinking process here </think> \
<bbox>[x1,y1,x2,y2]</bbox>, <points>[[x1,y1],[x2,y2],...]</points>, <labels>[1,0,...]</labels>"""
_POINTS_QUESTION = """\
{query}: locate it by a moderate number of informative points, on it and beside it. Give only the points and, for \
each, the label 1 if it is on the object or 0 if it is not: <points>[[x1,y1],[x2,y2],...]</points>, \
<labels>[1,0,...]</labels>"""
_ADVICE = "Give a moderate number of points, informative ones on the object and on the background. "


class SegR1(PixelDialect):
    """Render and parse Seg-R1's conversation.

    `prompt` "published" asks for a moderate number of points, as in training; "compact" does not, as in evaluation.
    `form` "points" is that of the first stage of training: no system prompt, no thought and no box are asked for.
    """

    name = "seg_r1"
    stop: tuple[str, ...] = ("</search>", "</keyframe>")

    def __init__(
        self,
        view: View,
        prompt: Literal["published", "compact"] = "published",
        *,
        form: Literal["prompts", "points"] = "prompts",
    ) -> None:
        self.prompt, self.form = prompt, form
        side = PUBLISHED_SIDES.get(view.keyframe_size, view.keyframe_size)
        hint = (
            "Write <bbox>[x1,y1,x2,y2]</bbox>, <points>[[x,y],...]</points>, <labels>[1,0,...]</labels> with numbers "
            f"from 0 to {side} and a label for each point, or empty lists if nothing matches."
        )

        read = partial(_read_prompts, scale=float(side), hint=hint)
        super().__init__(view, dict.fromkeys(_KINDS, ActionTag(read, hint)), any_hint=hint)

    def parse(self, text: str) -> Action:
        """Parse one turn; all boxes, points and labels outside thinking and quoted results make one answer.

        Never raises; linear in the length of the text.
        """
        return super().parse(_OPEN_BOX.sub(r"\g<0></bbox>", text[-MAX_TURN_CHARS:]))

    def _role(self) -> str:
        if self.form == "points":
            return ""
        return _FORMAT.format(advice=_ADVICE if self.prompt == "published" else "")

    def _question(self, query: str) -> str:
        """Return the request as in the referring evaluations: behind a sentence, or around a phrase."""
        if self.form == "points":
            return _POINTS_QUESTION.format(query=query)
        if query.endswith((".", "?", "!")):
            return f"{query} Identify and segment it."
        return f"Identify and segment {query}."


def _read_prompts(blocks: Sequence[Block], scale: float, hint: str) -> Action:
    """Read the boxes, points and labels of a turn; where points and labels are not equally many, both are dropped."""
    boxes, points, labels = (_values(blocks, tags) for tags in (_BOXES, ("points",), ("labels",)))
    said = [*boxes, *points, *labels]
    if (boxes or points) and all(found is not None and _is_empty(found) for found in said):
        return Answer(())
    kept: dict[Box, None] = {}
    for found in boxes:
        numbers = read_numbers(found)
        if len(numbers) % 4 == 0:
            read = (read_box(numbers[i : i + 4], scale) for i in range(0, len(numbers), 4))
            kept |= dict.fromkeys(box for box in read if box is not None)
    marked = list(dict.fromkeys(_marked(points, labels, scale)))[:MAX_POINTS]
    if kept:
        return Answer(tuple(_target(box, [one for one in marked if _inside(one, box)]) for box in [*kept][:MAX_BLOCKS]))
    if any(label for _, label in marked):
        return Answer((_target(None, marked),))
    if boxes:
        return Malformed(f"no box has four numbers and an area inside 0..{scale:g}", hint)
    return Malformed("there is no box, and no point with the label 1", hint)


def _values(blocks: Sequence[Block], tags: Sequence[str]) -> list[list[object] | None]:
    """Return what each of these tags holds, without its outer brackets, which may be round; None: it is unreadable."""
    bodies = islice((block.body for block in blocks if block.tag in tags), MAX_BLOCKS)
    return [_read_list(body) for body in bodies]


def _read_list(body: str) -> list[object] | None:
    try:
        (values,) = read_lenient(f"[{body}]")
    except ValueError:
        return None
    return values if isinstance(values, list) and values else None


def _is_empty(found: list[object]) -> bool:
    return all(value is None for value in flatten(found))


def _marked(
    points: Sequence[list[object] | None], labels: Sequence[list[object] | None], scale: float
) -> Iterator[tuple[Point, int]]:
    """Pair points up with their labels, tag by tag; the point of a label other than 0 and 1 is dropped."""
    pairs = zip((one for one in points if one), (one for one in labels if one), strict=False)
    for where, what in pairs:
        places, marks = read_points(read_numbers(where), scale), read_numbers(what)
        if len(places) == len(marks):
            yield from ((place, int(mark)) for place, mark in zip(places, marks, strict=True) if mark in (0, 1))


def _inside(marked: tuple[Point, int], box: Box) -> bool:
    (x, y), _ = marked
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def _target(box: Box | None, marked: Sequence[tuple[Point, int]]) -> Target:
    return Target(box, tuple(point for point, _ in marked), tuple(label for _, label in marked))
