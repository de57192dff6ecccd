"""From a whole conversation, as chat clients send it each time, to the one question that the agent answers.

What it can do: a follow-up without media is asked of the media shown last, and the policy is told, in a sentence before
the question, what was asked about them before and what was found, with its place in shares of the frame. So "now the
one to its left" has something to refer to.

What it cannot do: it resolves nothing itself, the policy must; the policy sees no earlier mask, only where it was; what
was said about earlier media is forgotten with them; and of a long conversation only the newest exchanges fit. What the
server had answered is taken from the conversation as the client sends it back, and is bound to be plain text and
numbers, so a client that changes it deceives only itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.server.clarification import read_choice
from agent.server.earlier import tell_found
from agent.server.errors import RequestError
from agent.server.requests import OtherMessage, UserMessage, said, shown
from graphs.dialects.neutral import one_line
from graphs.episode import MAX_QUERY_CHARS

MAX_EARLIER_CHARS = 1_200
"""Characters of the query that earlier exchanges may take; the newest come first, whole or not at all."""

_QUESTION_CHARS = 200
_SHOW = "Attach an image or a video to the message."
_OPENING, _CLOSING = "Earlier, about the same frames: ", " Now: "


@dataclass(frozen=True)
class Ask:
    """One question: `query` is what the policy is asked, `question` the person's own words, `urls` the media."""

    query: str
    question: str
    urls: tuple[str, ...]
    thread_id: str | None = None
    """The thread whose question the last message answers."""
    choice: int | None = None


def read_ask(messages: Sequence[UserMessage | OtherMessage], *, pictures: int, recall: bool) -> Ask:
    """Return what the last message asks; with `recall`, a follow-up's query tells what went before.

    A message that answers a question of ours brings back what was asked, with the choice. `pictures` is how many media
    one message may show. Raises RequestError if there is no question or nothing shown.
    """
    chosen = read_choice(messages)
    if chosen is not None:
        thread_id, choice = chosen
        asked = read_ask(messages[:-2], pictures=pictures, recall=recall)
        return replace(asked, thread_id=thread_id, choice=choice)
    last = messages[-1]
    if not isinstance(last, UserMessage):
        raise RequestError("the last message is not the user's.", remedy="End with what is asked.", param="messages")
    question = said(last)
    if not question:
        raise RequestError("the last message asks nothing.", remedy="Say in it what to find.", param="messages")
    if len(question) > MAX_QUERY_CHARS:
        told = f"the last message has {len(question)} characters of text, {MAX_QUERY_CHARS} at most."
        raise RequestError(told, remedy="Say it in fewer words.", param="messages")
    start = _shown_last(messages)
    urls = _media(messages[start])
    if len(urls) > pictures:
        told = f"a message shows {len(urls)} media, {pictures} at most."
        raise RequestError(told, remedy="Send a video, or fewer frames.", param="messages", code="too_many_media")
    earlier = messages[start:-1] if recall else ()
    return Ask(compose(question, _exchanges(earlier)), question, urls)


def compose(question: str, exchanges: Sequence[tuple[str, str]]) -> str:
    """Return the question with what was asked and answered before it, oldest first, within MAX_QUERY_CHARS.

    The question always stands whole, and last.
    """
    room = min(MAX_EARLIER_CHARS, MAX_QUERY_CHARS - len(question) - len(_OPENING) - len(_CLOSING))
    told: list[str] = []
    for asked, found in reversed(exchanges):
        line = f'asked for "{_quoted(asked)}"; {found}.'
        if len(line) + 1 > room:
            break
        room -= len(line) + 1
        told.insert(0, line)
    return f"{_OPENING}{' '.join(told)}{_CLOSING}{question}" if told else question


def _shown_last(messages: Sequence[UserMessage | OtherMessage]) -> int:
    """Return the place of the last message that shows media."""
    for place in range(len(messages) - 1, -1, -1):
        if _media(messages[place]):
            return place
    raise RequestError("no message shows an image or a video.", remedy=_SHOW, param="messages", code="no_media")


def _media(message: UserMessage | OtherMessage) -> tuple[str, ...]:
    return shown(message) if isinstance(message, UserMessage) else ()


def _exchanges(messages: Sequence[UserMessage | OtherMessage]) -> list[tuple[str, str]]:
    """Return question and finding of every exchange; a question that was never answered is left out.

    Where we asked which one is meant, the finding is what came of the number that answered.
    """
    pairs: list[tuple[str, str]] = []
    asked = ""
    for place, message in enumerate(messages):
        if isinstance(message, UserMessage):
            asked = asked if read_choice(messages[: place + 1]) else said(message)
        elif message.role == "assistant" and asked and read_choice(messages[: place + 2]) is None:
            pairs.append((asked, tell_found(said(message))))
            asked = ""
    return pairs


def _quoted(text: str) -> str:
    line = one_line(text[: _QUESTION_CHARS * 4]).replace('"', "'")
    return line if len(line) <= _QUESTION_CHARS else f"{line[: _QUESTION_CHARS - 1]}…"
