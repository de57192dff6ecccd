"""The reply form that Seg-Zero and VisionReasoner share: a thought, then an answer, and nothing around them."""

import re

_TURN = re.compile(r"</think>\s*<answer>")
_OPEN, _CLOSE = "<think>", "</answer>"


def has_thinking_form(reply: str) -> bool:
    """Return whether the whole reply is one thought in tags, then one answer in tags; either may be empty.

    As in the published rule, which is lazy and takes any characters inside, further tags inside change nothing.
    """
    if not reply.startswith(_OPEN) or not reply.endswith(_CLOSE):
        return False
    return _TURN.search(reply, len(_OPEN), len(reply) - len(_CLOSE)) is not None


def first_answer_body(reply: str) -> str | None:
    """Return what stands in the first answer tag; None if none is closed."""
    _, opened, rest = reply.partition("<answer>")
    body, closed, _ = rest.partition(_CLOSE)
    return body if opened and closed else None
