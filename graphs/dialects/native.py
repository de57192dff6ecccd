"""The dialect of models that call tools: several objects, absent, and the evidence that each object rests on.

For any tool-calling model, hosted or not: at a chat endpoint its turns are OpenAI tool calls, everywhere else the text
that `graphs.tool_calls` describes. An answer as plain JSON is taken, too. Search results are marked [e1], [e2], … over
the whole episode, and an answer cites the marks. Coordinates: 0..1000 of the frame in the text, 0..1 in `Target`.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal

from graphs.actions import Action, Malformed, Target
from graphs.conversation import ImageRef, Part, Text, join
from graphs.dialects.base import ShownFrame, View
from graphs.dialects.lenient_json import MAX_CHARS, read_lenient
from graphs.dialects.native_calls import ANY_HINT, understand_calls
from graphs.dialects.native_tools import ANSWER, LOOK_CLOSER, system_prompt, toolset
from graphs.dialects.neutral import one_line
from graphs.dialects.observations import Observations, indexed
from graphs.dialects.seg_research_answers import SCALE
from graphs.dialects.tags import MAX_TURN_CHARS
from graphs.tool_calls import Call, Toolset, as_call, read_calls, spell_response, spell_turn

_MARK = re.compile(r"()[\[\uff3b](?=\s{0,9}+[e\uff45]\s{0,9}+\d)", re.IGNORECASE)
_THOUGHT_END = re.compile(r"</\s{0,4}+(?:thinking|think|reasoning)\s{0,4}+>", re.IGNORECASE)
_FENCE = re.compile(r"```\w{0,10}")
_NOT_DONE = "Not done: searches come first, then one look at a time, and the answer stands alone."
_SAME = "The same was asked twice in this turn: see the other result."
_NOT_RUN = "Not run, as is said below."
_PICTURE = "The picture follows."


class Native(Observations):
    """Render and parse a conversation of tool calls; `prompt` "compact" leaves the advice out of the system prompt."""

    name = "native"
    stop: tuple[str, ...] = ("<tool_response>",)  # what policies dream up that get text alone
    _forged = _MARK

    def __init__(self, view: View, prompt: Literal["published", "compact"] = "published") -> None:
        self.view = view
        self.prompt = prompt

    def system(self, *, search: bool) -> str:
        """Return the system prompt with the tools; endpoints that are told the tools by name get it without them."""
        return system_prompt(search=search, advice=self.prompt == "published")

    def tools(self, *, search: bool, last: bool) -> Toolset:
        """Return what the next turn may call; the last one can only answer."""
        return toolset(search=search, last=last)

    def task(self, query: str, frames: Sequence[ShownFrame]) -> tuple[Part, ...]:
        """Render the first user turn: each frame after its index, then the question."""
        return (*indexed(frames), Text(f"\n\nFind: {one_line(query)}"))

    def parse(self, text: str) -> Action:
        """Parse one turn that the policy itself sampled: its tool calls, or a whole turn of plain JSON.

        Never raises; linear in the length of the text, of which the last `MAX_TURN_CHARS` characters are read.
        """
        turn = read_calls(text)
        if calls := turn.calls or _plain_calls(text):
            return understand_calls(calls).action
        return Malformed(turn.problem or "the turn calls no tool", ANY_HINT)

    def keyframe(self, frame: ShownFrame) -> tuple[Part, ...]:
        """Render the high-resolution frame."""
        return (Text(f"Frame {frame.index} in high resolution: "), frame.image)

    def observation(self, said: str, pieces: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
        """Answer every call of the turn `said` in its order; pieces with pictures stand behind, whole.

        Chat endpoints refuse a conversation in which a call has no answer, and pictures inside of answers.
        """
        calls = read_calls(said).calls
        if not calls:
            return join(*pieces)
        understood = understand_calls(calls)
        told: dict[int, list[str]] = {}
        behind: list[Sequence[Part]] = []
        for number, piece in enumerate(pieces):
            owner = understood.owners[min(number, len(understood.owners) - 1)]
            if any(isinstance(part, ImageRef) for part in piece):
                behind.append(piece)
                told.setdefault(owner, []).append(_PICTURE)
            else:
                told.setdefault(owner, []).append(_text(piece) or _NOT_RUN)
        responses = []
        for place, call in enumerate(calls):
            if fault := understood.faults.get(place):
                said_of_it = told.get(place) or [_text(self.repair(fault))]
            else:
                said_of_it = told.get(place) or [_SAME if call in calls[:place] else _NOT_DONE]
            responses.append(spell_response("\n".join(said_of_it)))
        return join((Text("".join(responses)),), *behind)

    def _head(self, place: int, first: int, title: str) -> str:
        marked = _MARK.sub("\u2039", title)
        return f"[e{first + place}] {marked}:"


def search_turn(thought: str, *queries: tuple[Literal["text_search", "image_search"], str]) -> str:
    """Spell a turn that looks things up, all at once."""
    return spell_turn(thought, [Call(tool, {"query": query}) for tool, query in queries])


def look_turn(thought: str, frame: int) -> str:
    """Spell the turn that asks for clip frame `frame` in high resolution."""
    return spell_turn(thought, [Call(LOOK_CLOSER, {"frame": frame})])


def answer_turn(thought: str, targets: Sequence[Target], frame: int | None = None) -> str:
    """Spell an answer; coordinates are rounded to 0..1000, and no target at all says that it is absent."""
    arguments = {"instances": [_spell(target) for target in targets]}
    return spell_turn(thought, [Call(ANSWER, arguments | ({} if frame is None else {"frame": frame}))])


def _text(piece: Sequence[Part]) -> str:
    return "".join(part.text for part in piece if isinstance(part, Text))


def _spell(target: Target) -> dict[str, object]:
    spelled: dict[str, object] = {"box": [round(value * SCALE) for value in target.box or ()]}
    if target.points:
        spelled["points"] = [[round(value * SCALE) for value in point] for point in target.points]
    return spelled | {"label": target.label, "evidence": [f"e{number}" for number in target.evidence]}


def _plain_calls(text: str) -> tuple[Call, ...]:
    """Read a turn that, after its thought, is nothing but JSON: structured output, or a call without its tags."""
    ends = [found.end() for found in _THOUGHT_END.finditer(text[-MAX_TURN_CHARS:])]
    content = text[-MAX_TURN_CHARS:][ends[-1] if ends else 0 :].strip()
    if (fence := _FENCE.match(content)) and content.endswith("```"):
        content = content[fence.end() : -3].strip()
    if len(content) > MAX_CHARS or (content[:1], content[-1:]) not in (("{", "}"), ("[", "]")):
        return ()
    try:
        (value,) = read_lenient(content) if content[0] == "{" else [json.loads(content)]
    except (ValueError, RecursionError):
        return ()
    if isinstance(value, dict) and not {"instances", "box"} & value.keys():
        call = as_call(value)
        return (call,) if call else ()
    objects = isinstance(value, list) and all(isinstance(one, dict) and "box" in one for one in value)
    if isinstance(value, dict) or objects:
        return (Call(ANSWER, value if isinstance(value, dict) else {"instances": value}),)
    return ()
