"""A question in a conversation, and the message that answers it.

The question goes out in the assistant's message, with the id of its thread in the JSON at the end; the client sends
that back with the conversation. The user's next message answers it if it is a number of a choice, or "none". Anything
else is a question of its own. The id is 128 random bits made here, and the thread is bound to its media and its query.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from agent.result import Result
from agent.server.earlier import block_of
from agent.server.requests import OtherMessage, UserMessage, said, shown
from agent.wording import place_of

ThreadId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]

_NUMBER = re.compile(r"\W{0,3}(?:number |choice |no\. ?)?(\d{1,3})\W{0,3}", re.ASCII | re.IGNORECASE)
_NONE = frozenset({"none", "none of them", "none of these", "neither"})


class _Asked(BaseModel):
    ending: Literal["asked"]
    thread: ThreadId


def question_text(result: Result) -> str:
    """Return the question of a result in words, with its numbered choices."""
    assert result.question is not None
    lines = [f"{choice.number}. {place_of(choice)}" for choice in result.question.choices]
    return "Which one is meant? Answer with its number, or with 0 for none of them.\n\n" + "\n".join(lines)


def question_fields(result: Result) -> dict[str, Any]:
    """Return what a program needs to answer: the thread, and each choice with its boxes in pixels of its frame."""
    if result.question is None:
        return {}
    choices = [
        {"number": one.number, "frame": one.frame, "boxes": [list(box) if box else None for box in one.boxes]}
        for one in result.question.choices
    ]
    return {"thread": result.thread_id, "choices": choices}


def read_number(answer: str) -> int | None:
    """Return the number of the choice that a message names, 0 for none of them; None if it is no answer."""
    number = _NUMBER.fullmatch(answer)
    if number is not None:
        return int(number.group(1))
    return 0 if answer.lower().strip(" .!") in _NONE else None


def read_choice(messages: Sequence[UserMessage | OtherMessage]) -> tuple[str, int] | None:
    """Return thread and choice if the last message answers the question before it, else None."""
    if len(messages) < 3 or not isinstance(messages[-1], UserMessage) or shown(messages[-1]):
        return None
    number, asked = read_number(said(messages[-1])), messages[-2]
    if asked.role != "assistant" or number is None:
        return None
    try:
        thread = _Asked.model_validate_json(block_of(said(asked))).thread
    except ValidationError:
        return None
    return thread, number
