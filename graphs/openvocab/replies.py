"""Read what the policy answered; tolerant of prose, fences and slips of JSON, and nothing is ever evaluated."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphs.actions import Box
from graphs.dialects.lenient_json import read_lenient
from graphs.openvocab.reasons import ClassReason, clean_attributes, from_plain_reason

_SCALE = 1000.0
_MOST_CHARS = 100


def read_description(text: str) -> str:
    """Return the description; plain prose is one itself. Raises ValueError if there is none."""
    try:
        values = list(_objects(text))
    except ValueError:
        values = []
    told = next((str(value["description"]) for value in values if value.get("description")), "")
    found = " ".join((told or ("" if values else text)).split())
    if not found:
        raise ValueError("there is no description")
    return found


def read_names(text: str) -> list[str]:
    """Return the names of an answer {"classes": […]} or of a bare list. Raises ValueError if there is neither."""
    for value in read_lenient(text):
        if isinstance(value, dict):
            value = next((v for v in value.values() if isinstance(v, list | str)), None)
        if isinstance(value, list | str):
            return [name[:_MOST_CHARS] for name in clean_attributes(value)]
    raise ValueError("there is no list of classes")


def read_reasons(text: str) -> dict[str, ClassReason]:
    """Return reasons by the name that the policy gave. Raises ValueError if there is not one.

    Read are {"reasons": [{"class": …}]}, a bare list of such objects, and an object keyed by class.
    """
    found: dict[str, ClassReason] = {}
    for value in _objects(text):
        for name, reason in _named(value.get("reasons", value)):
            found.setdefault(name[:_MOST_CHARS], from_plain_reason(reason))
    if not found:
        raise ValueError("there is no class with reasons")
    return found


def _named(inner: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(inner, dict) and "class" not in inner:
        yield from ((str(name), one) for name, one in inner.items() if isinstance(one, dict))
        return
    for one in inner if isinstance(inner, list) else [inner]:
        if isinstance(one, dict) and one.get("class"):
            yield str(one["class"]), one


def read_class_reason(text: str) -> ClassReason:
    """Return the reason of one class, also from the published three bracketed lines. Raises ValueError for neither."""
    for value in _objects(text, strict=False):
        reason = from_plain_reason(value)
        if reason.attributes:
            return reason
    lines = [line.partition(":")[2].strip() or line.strip() for line in text.splitlines() if "[" in line]
    if len(lines) == 3 and (attributes := clean_attributes(lines[2])):
        return ClassReason(lines[0].strip("[] "), lines[1].strip("[] "), attributes)
    raise ValueError("there are no attributes")


def read_boxes(text: str) -> list[Box]:
    """Return boxes 0..1 of the picture from thousandths, clipped to it; empty ones are left out.

    Raises ValueError if there is no list of boxes at all.
    """
    values: Any = next(iter(read_lenient(text)), None)
    if isinstance(values, dict):
        values = next((value for value in values.values() if isinstance(value, list)), None)
    if not isinstance(values, list):
        raise ValueError("there is no list of boxes")
    if len(values) == 4 and all(isinstance(v, int | float) for v in values):
        values = [values]
    boxes = []
    for one in values:
        one = next((v for v in one.values() if isinstance(v, list)), one) if isinstance(one, dict) else one
        if isinstance(one, list) and len(one) == 4 and all(isinstance(v, int | float) for v in one):
            # Clipped first: a whole number may be too large for a float.
            x1, y1, x2, y2 = (float(min(max(v, 0.0), _SCALE)) / _SCALE for v in one)
            if x1 < x2 and y1 < y2:
                boxes.append((x1, y1, x2, y2))
    return boxes


def _objects(text: str, *, strict: bool = True) -> Iterator[Mapping[str, Any]]:
    try:
        values = read_lenient(text)
    except ValueError:
        if strict:
            raise
        return
    for value in values:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield one
