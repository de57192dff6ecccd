"""Tool calls as the text of a turn, and back: the one form that records, replay, token policies and endpoints share.

A call is `<tool_call>` with a JSON object of `name` and `arguments`, a result is `<tool_response>`, as open models are
trained on (the Hermes form, which Qwen's chat template also writes). Chat endpoints that know tool calls get and give
them in fields of their own; `policies.openai_tools` translates.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from graphs.dialects.lenient_json import read_lenient
from graphs.dialects.tags import MAX_TURN_CHARS, find_blocks, tag_pattern

MAX_CALLS = 32
"""Calls of one turn beyond this many are left out."""

_TAGS = tag_pattern(("tool_call",))
_CALL = re.compile(
    r"<\s{0,4}+tool_call\s{0,4}+>.*?(?:<\s{0,4}+/\s{0,4}+tool_call\s{0,4}+>|\Z)", re.DOTALL | re.IGNORECASE
)
_FENCE = re.compile(r"<(?=\s{0,4}+/?\s{0,4}+(?:tool_call|tool_response|information)\s{0,4}+>)", re.IGNORECASE)
_RESPONSE = re.compile(r"<tool_response>\n(.*?)\n</tool_response>\n?", re.DOTALL)
_TOOLS_HEAD = "\n\n# Tools\n"


@dataclass(frozen=True)
class Toolset:
    """The functions that a turn may call, in OpenAI's form; with `forced` it must call the one of that name."""

    functions: tuple[Mapping[str, Any], ...]
    forced: str = ""


@dataclass(frozen=True)
class Call:
    """One call as a policy spelled it; `arguments` should be a mapping, but may be anything that JSON can hold."""

    name: str
    arguments: object


@dataclass(frozen=True)
class CallingTurn:
    """The calls of a turn that count, and why a turn that seems to have some has none."""

    calls: tuple[Call, ...]
    problem: str = ""


def read_calls(text: str) -> CallingTurn:
    """Read the calls of a turn; those in thoughts and in quoted results are none. Never raises; linear time."""
    blocks = find_blocks(text[-MAX_TURN_CHARS:], _TAGS)
    calls: list[Call] = []
    problem = "the call stands inside a thought" if blocks.hidden else ""
    for block in (*islice(blocks.closed, MAX_CALLS), *((blocks.unclosed,) if blocks.unclosed else ())):
        try:
            read = _calls(block.body)
        except ValueError as error:
            problem = f"the call is not valid JSON: {error}" if block.closed else "the turn ends inside a call"
            continue
        calls += read
        problem = problem if read else "the call has no name"
    return CallingTurn(tuple(calls[:MAX_CALLS]), problem)


def _calls(body: str) -> list[Call]:
    values = read_lenient(body)
    flat = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return [call for value in flat if (call := as_call(value)) is not None]


def as_call(value: object) -> Call | None:
    """Return the call that a JSON value spells, None if it spells none."""
    if not isinstance(value, dict) or not isinstance(name := value.get("name"), str):
        return None
    rest = {key: given for key, given in value.items() if key != "name"}
    return Call(name, rest.get("arguments", rest.get("parameters", rest)))


def prose_of(text: str) -> str:
    """Return what a turn says beside its calls."""
    return _CALL.sub("", text[-MAX_TURN_CHARS:]).strip()


def spell_turn(prose: str, calls: Sequence[Call]) -> str:
    """Spell a turn, so that exactly these calls are read from it, whatever their arguments and the prose hold."""
    if calls:
        prose = _FENCE.sub("\u2039", prose)
    blocks = []
    for call in calls:
        spelled = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
        spelled = spelled.encode("utf-8", "replace").decode()  # escapes can spell half characters
        blocks.append("<tool_call>\n" + spelled.replace("<", r"\u003c") + "\n</tool_call>")
    return "\n".join([prose.strip(), *blocks] if prose.strip() else blocks)


def spell_response(text: str) -> str:
    """Spell the result of one call; `text` must be neutralised."""
    return f"<tool_response>\n{text.strip()}\n</tool_response>\n"


def take_responses(text: str) -> tuple[list[str], str]:
    """Return the results in an observation, in the order of their calls, and the text beside them."""
    return _RESPONSE.findall(text), _RESPONSE.sub("", text)


def tools_text(tools: Toolset) -> str:
    """Describe tools in the words of a system prompt, for policies that get text alone."""
    lines = "\n".join(json.dumps(function, ensure_ascii=False) for function in tools.functions)
    return (
        f"{_TOOLS_HEAD}\nEach line between <tools> and </tools> is a function:\n<tools>\n{lines}\n</tools>\n\n"
        "Call one by its name and arguments as a JSON object, several one after another:\n"
        '<tool_call>\n{"name": <function name>, "arguments": <object of arguments>}\n</tool_call>'
    )


def without_tools_text(system: str) -> str:
    """Return a system prompt without the tools that it describes, for endpoints that are told them by name."""
    return system.partition(_TOOLS_HEAD)[0]
