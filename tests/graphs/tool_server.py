"""A chat endpoint that calls tools, as strict about messages as hosted ones are; what it says, a test scripts."""

import json
import re
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from chat_server import Answer, ChatServer, error, said
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import TypeAdapter, ValidationError

PARSER_OFF = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
"""What vLLM answers if it was started without a tool parser."""


_MESSAGES = TypeAdapter(list[ChatCompletionMessageParam])
_TOOLS = TypeAdapter(list[ChatCompletionToolParam])


def calls(*made: tuple[str, object], content: str | None = None, finish: str = "tool_calls", **more: object) -> Answer:
    """Answer with tool calls; arguments that are no text are sent as JSON in a string, as all endpoints do."""
    told = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(made)
    ]
    return said(content, finish=finish, tool_calls=told, refusal=None, **more)


def strict(server: ChatServer, *answers: Answer) -> list[Answer]:
    """Give each answer only to a request that a strict endpoint takes; others get HTTP 400 and the complaint."""

    def checked(answer: Answer) -> Answer:
        def reply(handler: BaseHTTPRequestHandler) -> None:
            wrong = complaint(server.requests[-1])
            (error(400, wrong) if wrong else answer)(handler)

        return reply

    return [checked(answer) for answer in answers]


def complaint(request: dict[str, Any]) -> str:
    """Say what is wrong with a request; nothing if it is in order."""
    try:
        _TOOLS.validate_python(request.get("tools", []))
        for message in _MESSAGES.validate_python(request["messages"]):
            for value in message.values():
                assert not isinstance(value, Iterator) or list(value)  # which is checked only as it is read
    except ValidationError as wrong:
        return str(wrong)[:500]
    names = [one["function"]["name"] for one in request.get("tools", [])]
    choice = request.get("tool_choice", "auto")
    if choice != "auto" and (choice["type"], choice["function"]["name"]) not in [("function", name) for name in names]:
        return "tool_choice names no function of tools"
    waiting: list[str] = []
    for message in request["messages"]:
        wrong = _misplaced(message, waiting) or _malformed(message)
        if wrong:
            return f"{wrong}: {message!r}"[:500]
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        waiting += [call["id"] for call in message.get("tool_calls", ())]
    return "a tool call has no result" if waiting else ""


def _misplaced(message: dict[str, Any], waiting: Sequence[str]) -> str:
    if message["role"] == "tool":
        return "" if message["tool_call_id"] in waiting else "a result without a call"
    return "a message before all tool calls have results" if waiting else ""


def _malformed(message: dict[str, Any]) -> str:
    content = message["content"]
    if message["role"] != "user" and not (isinstance(content, str) or "tool_calls" in message):
        return "only users send pictures, and only calls come without text"
    for call in message.get("tool_calls", ()):
        function = call["function"]
        if not re.fullmatch(r"[a-zA-Z0-9]{9}", call["id"]) or not re.fullmatch(r"[\w-]{1,64}", function["name"]):
            return "an id or a name that some endpoints refuse"
        if not isinstance(_strictly(function["arguments"]), dict):
            return "arguments are no object"
    ids = [call["id"] for call in message.get("tool_calls", ())]
    return "two calls share an id" if len({*ids}) < len(ids) else ""


def _strictly(text: str) -> object:
    """Read JSON, in which there is no NaN; None if it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return None


def _refuse(constant: str) -> object:
    raise ValueError(constant)
