"""The bodies of Seg-ReSearch's three action tags, read tolerantly into actions.

Coordinates are 0..1000 of the frame here and 0..1 in `Target`. What counts as "absent": an all-zero box (the
published form), an empty or null box, keyframe -1 (the published no-search form, which its own tool refuses), and an
answer of plain words that opens by saying that nothing is there. "I cannot tell" is not "absent".
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from graphs.actions import Action, Answer, Box, LookCloser, Malformed, Point, Search, SearchQuery, Target
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

_TOOLS: Mapping[str, Literal["text_search", "image_search"]] = {
    **dict.fromkeys(("text_search", "text", "search", "web_search"), "text_search"),
    **dict.fromkeys(("image_search", "image", "images"), "image_search"),
}
_BOX_KEYS = ("bbox_2d", "bbox", "box_2d", "box", "bbox2d", "bboxes", "boxes")
_POINT_KEYS = ("point_2d", "point_2_d", "points_2d", "point", "points", "point2d")
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
        return _search([("text_search", words.strip("\"'`"))])
    try:
        calls = [call for call in _flatten(read_lenient(body)) if isinstance(call, dict)]
    except ValueError as error:
        return Malformed(f"the search is not valid JSON: {error}", SEARCH_HINT)
    wanted: list[tuple[object, object]] = []
    for call in calls:
        inner = call.get("arguments", call.get("parameters", call))
        given = inner if isinstance(inner, dict) else call
        query = given.get("query", given.get("queries"))
        wanted += [(call.get("name", "text_search"), q) for q in (query if isinstance(query, list) else [query])]
    return _search(wanted)


def _search(wanted: Sequence[tuple[object, object]]) -> Action:
    queries: dict[SearchQuery, None] = {}
    for name, query in wanted:
        tool = _TOOLS.get(str(name).strip().lower().replace("-", "_"))
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


def read_answer(body: str) -> Action:
    """Read the inside of an answer tag: one or several objects with box and points, or words that say "absent"."""
    try:
        values = read_lenient(body)
    except ValueError as error:
        if _ABSENT.match(body[:400].lstrip("\"'` \n")):
            return Answer(())
        return Malformed(f"the answer is not valid JSON: {error}", ANSWER_HINT)
    if values in ([None], [[]]):
        return Answer(())
    objects = [value for value in _flatten(values) if isinstance(value, dict)]
    if not objects:
        return Malformed("the answer holds no JSON object", ANSWER_HINT)
    read = [_targets(found) for found in objects[:MAX_TARGETS]]
    targets = [target for one in read if not isinstance(one, Malformed) for target in one]
    faults = [one for one in read if isinstance(one, Malformed)]
    if faults and not targets:
        return faults[0]
    return Answer(tuple(targets), _frame(objects) if targets else None)


def _targets(found: Mapping[str, object]) -> list[Target] | Malformed:
    """Read one object; an empty list means that it says "absent"."""
    keys = {key.strip().lower(): value for key, value in found.items()}
    box_key = next((key for key in _BOX_KEYS if key in keys), None)
    point_key = next((key for key in _POINT_KEYS if key in keys), None)
    if box_key is None and point_key is None:
        return Malformed("the answer has no bbox_2d", ANSWER_HINT)
    raw_box, raw_point = _numbers(keys.get(box_key or "")), _numbers(keys.get(point_key or ""))
    points = _points(raw_point)
    zero_point = not any(raw_point)
    says_none = box_key is not None and keys[box_key] in (None, [])
    if zero_point and (says_none or (raw_box and not any(raw_box))):
        return []
    if raw_box and len(raw_box) % 4:
        return Malformed(f"bbox_2d needs 4 numbers and has {len(raw_box)}", ANSWER_HINT)
    if raw_box and not any(raw_box):
        return Malformed("bbox_2d is all zeros, which means absent, but point_2d is not", ANSWER_HINT)
    if not raw_box:
        if not points or zero_point:
            return Malformed("point_2d needs 2 numbers inside the target", ANSWER_HINT)
        return [Target(None, points, (1,) * len(points), _label(keys))]
    boxes = [_box(raw_box[i : i + 4]) for i in range(0, len(raw_box), 4)]
    if any(box is None for box in boxes):
        return Malformed(f"the box {[_short(n) for n in raw_box[:8]]} has no area inside 0..1000", ANSWER_HINT)
    if zero_point:  # the frame's corner, beside a real box, is a filler and no point of the target
        points = ()
    if len(boxes) > 1:
        shared = len(points) == len(boxes)
        return [
            Target(b, points[i : i + 1] if shared else (), (1,) * shared, _label(keys)) for i, b in enumerate(boxes)
        ]
    return [Target(boxes[0], points, (1,) * len(points), _label(keys))]


def _numbers(value: object) -> list[float]:
    """Flatten nested lists to finite numbers; numbers in quotes count, all else is dropped."""
    numbers: list[float] = []
    for item in _flatten([value]):
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            continue
        try:
            number = float(item)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number):
            numbers.append(number)
    return numbers


def _flatten(values: Iterable[object]) -> list[object]:
    flat: list[object] = []
    stack = list(values)[::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item[::-1])
        else:
            flat.append(item)
    return flat


def _unit(value: float) -> float:
    return min(max(value, 0.0), SCALE) / SCALE


def _box(raw: Sequence[float]) -> Box | None:
    """Clamp to the frame and put the corners in order; None if nothing is left."""
    x1, x2 = sorted((_unit(raw[0]), _unit(raw[2])))
    y1, y2 = sorted((_unit(raw[1]), _unit(raw[3])))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _points(raw: Sequence[float]) -> tuple[Point, ...]:
    """Pair the numbers up; a list of odd length says nothing certain and is dropped."""
    if len(raw) % 2:
        return ()
    return tuple((_unit(raw[i]), _unit(raw[i + 1])) for i in range(0, len(raw), 2))


def _label(keys: Mapping[str, object]) -> str:
    label = keys.get("label", "")
    return _whole(label[:100]) if isinstance(label, str) else ""


def _whole(text: str) -> str:
    """Replace lone surrogates, which JSON escapes can spell but nothing can encode."""
    return text.encode("utf-8", "replace").decode()


def _frame(objects: Sequence[Mapping[str, object]]) -> int | None:
    for found in objects:
        for key in _FRAME_KEYS:
            value = found.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
                return value
    return None


def _short(number: float) -> float | int:
    return int(number) if number == int(number) else round(number, 3)
