"""What the tool calls of a turn ask for. Knows spellings and their faults, and nothing of how results are shown.

Searches go first: an answer or a look beside them cannot rest on what they bring, and is not taken. A look goes before
an answer for the same reason. Several answers are one; calls that cannot be used do no harm beside one that can.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from graphs.actions import Action, Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.dialects.coordinates import flatten
from graphs.dialects.lenient_json import read_lenient
from graphs.dialects.native_tools import ANSWER, LOOK_CLOSER
from graphs.dialects.seg_research_answers import (
    MAX_TARGETS,
    SEARCH_TOOLS,
    AnswerForm,
    read_frame,
    read_object,
    search_for,
)
from graphs.tool_calls import Call

SEARCH_HINT = 'Call text_search or image_search with {"query": "..."}.'
LOOK_HINT = 'Call look_closer with {"frame": N}, the index of one of the frames.'
ANSWER_HINT = (
    'Call answer with {"instances": [{"box": [x1, y1, x2, y2], "label": "...", "evidence": ["e1"]}]}, numbers from 0 '
    'to 1000, or with {"instances": []} if it is in no frame.'
)
ANY_HINT = "Call one of the tools: answer, look_closer or, where there is one, a search."

MAX_EVIDENCE = 32
"""Marks of one object beyond this many are left out."""

_FORM = AnswerForm(box="box", point="points", hint=ANSWER_HINT)
_MARK = re.compile(r"\W{0,9}(?:e\s?(\d{1,6})\b|(\d{1,6})\W{0,9}\Z)", re.IGNORECASE)


@dataclass(frozen=True)
class Understood:
    """The action of a turn, which call each piece of its observation answers, and what is wrong with other calls."""

    action: Action
    owners: tuple[int, ...]
    faults: Mapping[int, Malformed]


def understand_calls(calls: Sequence[Call]) -> Understood:
    """Say what one or more calls of a turn ask for together."""
    read = [_read(call) for call in calls]
    faults = {place: one for place, one in enumerate(read) if isinstance(one, Malformed)}
    owners: dict[SearchQuery, int] = {}
    for place, one in enumerate(read):
        for query in one.queries if isinstance(one, Search) else ():
            owners.setdefault(query, place)
    if owners:
        return Understood(Search(tuple(owners)), tuple(owners.values()), faults)
    looks = [(place, one) for place, one in enumerate(read) if isinstance(one, LookCloser)]
    if looks:
        place, look = looks[-1]
        return Understood(look, (place,), faults)
    answers = [(place, one) for place, one in enumerate(read) if isinstance(one, Answer)]
    if answers:
        return Understood(_together([one for _, one in answers]), (answers[0][0],), faults)
    return Understood(faults[0], (0,), faults)


def _read(call: Call) -> Search | LookCloser | Answer | Malformed:
    name = call.name.strip().lower().replace("-", "_").rpartition(".")[2]
    hint = {ANSWER: ANSWER_HINT, LOOK_CLOSER: LOOK_HINT}.get(name, SEARCH_HINT if name in SEARCH_TOOLS else ANY_HINT)
    if name not in (ANSWER, LOOK_CLOSER, *SEARCH_TOOLS):
        return Malformed(f"there is no tool {call.name[:40]!r}", hint)
    arguments = _object(call.arguments)
    if arguments is None:
        return Malformed(f"the arguments of {name} are no JSON object", hint)
    if name == ANSWER:
        return read_answer(arguments)
    if name == LOOK_CLOSER:
        return _look(arguments)
    query = arguments.get("query", arguments.get("queries"))
    found = search_for([(name, one) for one in (query if isinstance(query, list) else [query])])
    return replace(found, hint=hint) if isinstance(found, Malformed) else found


def _object(value: object) -> Mapping[str, object] | None:
    """Return an object that may have been put into JSON twice."""
    if isinstance(value, str):
        try:
            value = read_lenient(value)[0]
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def _look(arguments: Mapping[str, object]) -> LookCloser | Malformed:
    given = arguments.get("frame", arguments.get("index"))
    text = str(given).strip() if isinstance(given, int | float | str) and not isinstance(given, bool) else ""
    if not re.fullmatch(r"[0-9]{1,9}(\.0{1,3})?", text[:20]):
        return Malformed("look_closer needs one frame index", LOOK_HINT)
    return LookCloser(int(float(text)))


def read_answer(arguments: Mapping[str, object]) -> Answer | Malformed:
    """Read the arguments of an answer; objects that cannot be read are left out, unless there is no other."""
    objects = _instances(arguments)
    if isinstance(objects, Malformed):
        return objects
    read = [_targets(found) for found in islice(objects, MAX_TARGETS)]
    targets = [target for one in read if not isinstance(one, Malformed) for target in one]
    faults = [one for one in read if isinstance(one, Malformed)]
    if faults and not targets:
        return faults[0]
    named = [arguments, *(found for found in objects if isinstance(found, dict))]
    return Answer(tuple(targets[:MAX_TARGETS]), read_frame(named) if targets else None)


def _instances(arguments: Mapping[str, object]) -> Sequence[object] | Malformed:
    """Return the answered objects, each as it was written; a lone object or a lone box counts as a list of one."""
    given = arguments.get("instances", [arguments] if "box" in arguments else None)
    if isinstance(given, str):
        try:
            given = read_lenient(given)[0]
        except ValueError:
            given = None
    if isinstance(given, dict):
        return [given]
    if not isinstance(given, list):
        return Malformed("the answer has no list of instances", ANSWER_HINT)
    return [given] if given and all(isinstance(one, int | float) for one in given) else given


def _targets(found: object) -> list[Target] | Malformed:
    if isinstance(found, list):
        found = {"box": found}
    if not isinstance(found, dict):
        return Malformed("an instance is no JSON object", ANSWER_HINT)
    read = read_object(found, _FORM)
    if isinstance(read, Malformed):
        return read
    cited = read_marks(found.get("evidence"))
    return [replace(target, evidence=cited) for target in read]


def read_marks(value: object) -> tuple[int, ...]:
    """Return the numbers of cited results, each once: e1, [e1], "e1, e2", "e1: title" or 1; all else is left out."""
    numbers: dict[int, None] = {}
    for item in islice(flatten([value]), MAX_EVIDENCE):
        pieces = item[:1_000].split(",") if isinstance(item, str) else [str(item)] if type(item) is int else []
        found = (_MARK.match(piece) for piece in pieces)
        numbers |= dict.fromkeys(int(match.group(1) or match.group(2)) for match in found if match)
    return tuple(islice(numbers, MAX_EVIDENCE))


def _together(answers: Sequence[Answer]) -> Answer:
    targets = tuple(target for answer in answers for target in answer.targets)[:MAX_TARGETS]
    frames = [answer.frame for answer in answers if answer.frame is not None]
    return Answer(targets, frames[0] if frames else None)
