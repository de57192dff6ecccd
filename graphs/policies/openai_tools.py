"""Tool calls as chat endpoints want them: turns into messages with calls and their results, replies back into turns.

Strict endpoints refuse a call without a result, a result without a call, arguments that are no JSON, and pictures in
results; so each call gets one, and pictures follow in a user's message.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from graphs.conversation import Part, Text, Turn
from graphs.dialects.lenient_json import read_lenient
from graphs.dialects.neutral import defuse_special
from graphs.policies.openai_messages import PictureCache, to_messages
from graphs.tool_calls import Call, Toolset, prose_of, read_calls, take_responses, without_tools_text
from tools.image_store import ImageStore

_UNNAMED = re.compile(r"[^A-Za-z0-9_-]")


def offer(tools: Toolset) -> dict[str, Any]:
    """Return the fields of a request that offer tools."""
    return {"tools": [dict(function) for function in tools.functions]}


def force(tools: Toolset) -> dict[str, Any]:
    """Return the field of a request that makes the reply call the forced tool."""
    return {"tool_choice": {"type": "function", "function": {"name": tools.forced}}}


def to_tool_messages(turns: Sequence[Turn], images: ImageStore, cache: PictureCache) -> list[dict[str, Any]]:
    """Render turns as OpenAI chat messages in which calls and results have fields of their own."""
    messages: list[dict[str, Any]] = []
    waiting: list[str] = []
    for place, turn in enumerate(turns):
        if turn.role == "system":
            messages.append({"role": "system", "content": without_tools_text(turn.text)})
        elif turn.role == "assistant" and (calls := read_calls(turn.text).calls):
            told = [_call(call, f"{place:04d}x{number:04d}") for number, call in enumerate(calls)]
            waiting = [call["id"] for call in told]
            prose = defuse_special(prose_of(turn.text))
            messages.append({"role": "assistant", "content": prose or None, "tool_calls": told})
        else:
            results, rest = _results(turn, waiting)
            waiting = []
            messages += [*results, *(to_messages([rest], images, cache) if rest.parts else ())]
    return messages


def _call(call: Call, name: str) -> dict[str, Any]:
    """Return a past call; its id has nine letters and digits, which is the only form that some endpoints take."""
    try:
        arguments = json.dumps(call.arguments, ensure_ascii=False, allow_nan=False)
    except ValueError:
        arguments = "{}"
    if not isinstance(call.arguments, dict):
        arguments = "{}"
    function = {"name": _UNNAMED.sub("_", call.name)[:64] or "unknown", "arguments": defuse_special(arguments)}
    return {"id": name, "type": "function", "function": function}


def _results(turn: Turn, waiting: Sequence[str]) -> tuple[list[dict[str, Any]], Turn]:
    """Split an observation into the results of the calls that wait for one, and the rest of the turn."""
    if not waiting:
        return [], turn
    results: list[str] = []
    rest: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Text):
            found, beside = take_responses(part.text)
            results += found
            rest += [Text(beside)] if beside.strip() else []
        else:
            rest.append(part)
    answered = zip(waiting, results, strict=False)
    told = [{"role": "tool", "tool_call_id": name, "content": text} for name, text in answered]
    return told, Turn(turn.role, tuple(rest))


def read_call(name: str, arguments: object) -> Call:
    """Return a call of a reply; arguments that cannot be read stay the text that they are."""
    if isinstance(arguments, str):
        try:
            values = read_lenient(arguments or "{}")
        except ValueError:
            return Call(name, arguments)
        arguments = values[0]
    return Call(name, arguments if isinstance(arguments, Mapping) else {})
