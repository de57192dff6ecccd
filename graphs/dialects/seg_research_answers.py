"""The bodies of Seg-ReSearch's three action tags, read tolerantly into actions.

Coordinates are 0..1000 of the frame here, unless an `AnswerForm` says otherwise, and 0..1 in `Target`. What counts as
"absent": an all-zero box (the published form), an empty or null box, an empty list (VisionReasoner's form), keyframe -1
(the published no-search form, which its own tool refuses), and an answer of plain words that opens by saying that
nothing is there. "I cannot tell" is not "absent".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from graphs.actions import Action, Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.dialects.coordinates import flatten, read_box, read_numbers, read_points
from graphs.dialects.lenient_json import MAX_CHARS, read_lenient

SCALE = 1000.0
MAX_QUERY_CHARS = 500
MAX_TARGETS = 64

SEARCH_HINT = 'Write <search> {"name": "text_search", "query": "..."} </search>, with text_search or image_search.'
KEYFRAME_HINT = "Write <keyframe> N </keyframe> with the index of one of the frames."
ANSWER_HINT = (
    'Write <answer> {"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]} </answer> with numbers from 0 to 1000, '
    "or bbox_2d [0, 0, 0, 0] and point_2d [0, 0] if the target is in no frame."
)


@dataclass(frozen=True)
class AnswerForm:
    """How a system spells an answered object: the far end of its coordinates, the names that it asks for, the hint."""

    scale: float = SCALE
    box: str = "bbox_2d"
    point: str = "point_2d"
    hint: str = ANSWER_HINT
    most: int = MAX_TARGETS
    """Objects beyond this many are left out."""


SEG_RESEARCH_FORM = AnswerForm()

SEARCH_TOOLS: Mapping[str, Literal["text_search", "image_search"]] = {
    **dict.fromkeys(("text_search", "text", "search", "web_search"), "text_search"),
    **dict.fromkeys(("image_search", "image", "images"), "image_search"),
}
_BOX_KEYS = ("bbox_2d", "bbox", "box_2d", "box", "bbox2d", "bboxes", "boxes")
_POINT_KEYS = ("point_2d", "point_2_d", "points_2d", "point", "points", "point2d")
_NUMBERED_POINT_KEYS = ("points_1", "points_2", "point_1", "point_2")
_FRAME_KEYS = ("keyframe", "frame", "frame_index", "index")
_FRAME_WORDS = frozenset({"frame", "keyframe", "index", "number", "id", "no"})
_THING = (
    r"(?:\w+\s+){0,3}?(?:frames?|objects?|targets?|matches|match|one|candidates?|items?|persons?|people|instances?)"
)
_ABSENT = re.compile(
    rf"\W*(?:(?:none|null|absent|n/a|nothing|not (?:found|present|visible|in (?:any|the)))\W*\Z"
    rf"|none of (?:the|these|them)\b|no (?:such )?{_THING}\b|nothing (?:matches|in)\b|there (?:is|are) no(?:ne)?\b"
    rf"|(?:the )?(?:target|object)\b[^.]{{0,80}}\b(?:is|are|does|do) not (?:present|visible|in|appear|shown)\b"
    rf"|not (?:present|visible|found) in\b)",
    re.IGNORECASE,
)


def read_search(body: str) -> Action:
    """Read the inside of a search tag: one JSON object, several, or plain words (a text search)."""
    words = " ".join(body.split()) if len(body) <= MAX_CHARS else ""
    if words and not any(mark in words for mark in "{}[]"):
        return search_for([("text_search", words.strip("\"'`"))])
    try:
        calls = [call for call in flatten(read_lenient(body)) if isinstance(call, dict)]
    except ValueError as error:
        return Malformed(f"the search is not valid JSON: {error}", SEARCH_HINT)
    wanted: list[tuple[object, object]] = []
    for call in calls:
        inner = call.get("arguments", call.get("parameters", call))
        given = inner if isinstance(inner, dict) else call
        query = given.get("query", given.get("queries"))
        wanted += [(call.get("name", "text_search"), q) for q in (query if isinstance(query, list) else [query])]
    return search_for(wanted)


def search_for(wanted: Sequence[tuple[object, object]]) -> Search | Malformed:
    """Make tool names and queries, as a policy wrote them, into one search; what is asked twice counts once."""
    queries: dict[SearchQuery, None] = {}
    for name, query in wanted:
        tool = SEARCH_TOOLS.get(str(name).strip().lower().replace("-", "_"))
        if tool is None:
            return Malformed(f"there is no tool {str(name)[:40]!r}", SEARCH_HINT)
        if not isinstance(query, str) or not query.strip():
            return Malformed("the search has no query", SEARCH_HINT)
        if len(query) > MAX_QUERY_CHARS:
            return Malformed(f"the query has {len(query)} characters, {MAX_QUERY_CHARS} at most", SEARCH_HINT)
        queries[SearchQuery(tool, _whole(query).strip())] = None
    return Search(tuple(queries)) if queries else Malformed("the search has no query", SEARCH_HINT)


def read_keyframe(body: str) -> Action:
    """Read the inside of a keyframe tag: one frame index, in brackets or words or not; -1 means absent."""
    short = body.strip()[:200].replace("_", " ")
    numbers = re.findall(r"(?<![\w.])-\d{1,9}(?!\w)|(?<![\d.])\d{1,9}(?:\.0{1,3})?(?![\w.]*\d)", short)
    words = set(re.findall(r"[^\W\d]+", short.lower()))
    if len(numbers) != 1 or not words <= _FRAME_WORDS or len(body.strip()) > 200:
        return Malformed(f"the keyframe must be one frame index, not {short[:60]!r}", KEYFRAME_HINT)
    index = int(float(numbers[0]))
    if index == -1:
        return Answer(())
    return LookCloser(index) if index >= 0 else Malformed(f"frame {index} does not exist", KEYFRAME_HINT)


def read_answer(body: str, form: AnswerForm = SEG_RESEARCH_FORM) -> Action:
    """Read the inside of an answer tag: one or several objects with box and points, or words that say "absent"."""
    try:
        values = read_lenient(body)
    except ValueError as error:
        if _ABSENT.match(body[:400].lstrip("\"'` \n")):
            return Answer(())
        return Malformed(f"the answer is not valid JSON: {error}", form.hint)
    if values in ([None], [[]]):
        return Answer(())
    objects = [value for value in flatten(values) if isinstance(value, dict)]
    if not objects:
        return Malformed("the answer holds no JSON object", form.hint)
    read = [read_object(found, form) for found in objects[: form.most]]
    targets = [target for one in read if not isinstance(one, Malformed) for target in one]
    faults = [one for one in read if isinstance(one, Malformed)]
    if faults and not targets:
        return faults[0]
    return Answer(tuple(targets), read_frame(objects) if targets else None)


def read_object(found: Mapping[str, object], form: AnswerForm) -> list[Target] | Malformed:
    """Read one object; an empty list means that it says "absent"."""
    keys = {key.strip().lower(): value for key, value in found.items()}
    box_key = next((key for key in _BOX_KEYS if key in keys), None)
    point_keys = [key for key in _POINT_KEYS if key in keys][:1] or [k for k in _NUMBERED_POINT_KEYS if k in keys]
    if box_key is None and not point_keys:
        return Malformed(f"the answer has no {form.box}", form.hint)
    raw_box, raw_point = read_numbers(keys.get(box_key or "")), read_numbers([keys[key] for key in point_keys])
    points = read_points(raw_point, form.scale)
    zero_point = not any(raw_point)
    says_none = box_key is not None and keys[box_key] in (None, [])
    if zero_point and (says_none or (raw_box and not any(raw_box))):
        return []
    if raw_box and len(raw_box) % 4:
        return Malformed(f"{form.box} needs 4 numbers and has {len(raw_box)}", form.hint)
    if raw_box and not any(raw_box):
        return Malformed(f"{form.box} is all zeros, which means absent, but {form.point} is not", form.hint)
    if not raw_box:
        if not points or zero_point:
            return Malformed(f"{form.point} needs 2 numbers inside the target", form.hint)
        return [Target(None, points, (1,) * len(points), _label(keys))]
    boxes = [read_box(raw_box[i : i + 4], form.scale) for i in range(0, len(raw_box), 4)]
    if any(box is None for box in boxes):
        numbers = [_short(number) for number in raw_box[:8]]
        return Malformed(f"the box {numbers} has no area inside 0..{form.scale:g}", form.hint)
    if zero_point:  # the frame's corner, beside a real box, is a filler and no point of the target
        points = ()
    if len(boxes) > 1:
        shared = len(points) == len(boxes)
        return [
            Target(b, points[i : i + 1] if shared else (), (1,) * shared, _label(keys)) for i, b in enumerate(boxes)
        ]
    return [Target(boxes[0], points, (1,) * len(points), _label(keys))]


def _label(keys: Mapping[str, object]) -> str:
    label = keys.get("label", "")
    return _whole(label[:100]) if isinstance(label, str) else ""


def _whole(text: str) -> str:
    """Replace lone surrogates, which JSON escapes can spell but nothing can encode."""
    return text.encode("utf-8", "replace").decode()


def read_frame(objects: Sequence[Mapping[str, object]]) -> int | None:
    """Return the first frame index that one of these objects names, None if none does."""
    for found in objects:
        for key in _FRAME_KEYS:
            value = found.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
                return value
    return None


def _short(number: float) -> float | int:
    return int(number) if number == int(number) else round(number, 3)
