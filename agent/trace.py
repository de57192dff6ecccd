"""The trace of a result: one JSON object a line, in the order in which things happened.

Every line has `kind`: `start` (schema, query, media, versions), `turn` (one of the conversation; pictures by sha256),
`event` (with seconds since the start), `end` (how it ended and what it cost).
"""

import json
from collections.abc import Iterator
from typing import Any

from agent.result import Result
from graphs.conversation import Turn, to_plain
from graphs.events import TurnSampled, as_plain_event

SCHEMA = "segscout.trace/1"


def trace_lines(result: Result) -> Iterator[str]:
    """Yield the lines of the trace, without line ends."""
    for line in _lines(result):
        yield json.dumps(line, ensure_ascii=False, allow_nan=False)


def _lines(result: Result) -> Iterator[dict[str, Any]]:
    plain = result.to_dict()
    yield {"kind": "start", "schema": SCHEMA, **{key: plain[key] for key in ("query", "media", "versions")}}
    told = 0
    for step in result.steps:
        if isinstance(step.event, TurnSampled):
            until = _sampled(result.conversation, step.event.turn)
            yield from _turns(result.conversation, told, until)
            told = until
        yield {"kind": "event", "at": step.at, "event": as_plain_event(step.event)}
    yield from _turns(result.conversation, told, len(result.conversation))
    yield {"kind": "end", **{key: plain[key] for key in ("ending", "failure", "keyframe", "instances", "usage")}}


def _sampled(conversation: tuple[Turn, ...], number: int) -> int:
    """Return how many turns there are up to and including the policy's turn `number`, counted from 0."""
    own = [index for index, turn in enumerate(conversation) if turn.role == "assistant"]
    return own[number] + 1 if number < len(own) else len(conversation)


def _turns(conversation: tuple[Turn, ...], start: int, stop: int) -> Iterator[dict[str, Any]]:
    for index in range(start, stop):
        yield {"kind": "turn", "index": index, **to_plain(conversation[index])}
