"""What the terminal, the chat and the page all say of an episode's events."""

import re

from graphs.actions import Malformed
from graphs.events import Answered, Choice, TurnSampled

FATES = {
    "cached": "searched before: the same is shown again",
    "too_many": "not run: too many in one turn",
    "refused": "not run: no search is left",
    "off": "not run: there is nothing to search here",
}
"""Why a search brought nothing new, by its fate."""

TOLD_FRAMES = 50
"""While masks are cut, a line every so many frames."""

_ACTION = re.compile(r"<(search|keyframe|answer|tool_call)\b.*", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?[a-z_]{1,20}>", re.IGNORECASE)


def thought_of(event: TurnSampled) -> str:
    """Return what a turn thinks, without its action and its tags; of a malformed turn all of it."""
    said = event.text if isinstance(event.action, Malformed) else _ACTION.sub("", event.text)
    return _TAG.sub(" ", said)


def place_of(choice: Choice) -> str:
    """Return where a choice is, and how many answers speak for it; nothing that a policy wrote."""
    votes = "1 answer" if choice.votes == 1 else f"{choice.votes} answers"
    if choice.frame is None:
        return f"it is not there ({votes})"
    boxes = [f"({', '.join(f'{value:.0f}' for value in box)})" if box else "by its points" for box in choice.boxes]
    return f"frame {choice.frame}: {' '.join(boxes)} ({votes})"


def answer_of(event: Answered) -> str:
    """Return what was answered: nothing, or how many objects in which frame."""
    if event.absent:
        return "it is not there"
    objects = "one object" if len(event.boxes) == 1 else f"{len(event.boxes)} objects"
    return f"{objects} in frame {event.keyframe}"
