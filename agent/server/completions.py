"""OpenAI's objects on the way out: the whole completion, the chunks of a streamed one, the list of models."""

import secrets
from collections.abc import Mapping, Sequence
from time import time
from typing import Any

from agent.result import Result
from agent.server.requests import MODEL
from agent.versions import segscout_version
from graphs.endings import Ending
from graphs.episode import Usage

_SPENT = frozenset({Ending.TURNS_SPENT, Ending.SEARCHES_SPENT, Ending.TOKENS_SPENT, Ending.SECONDS_SPENT})


class Completion:
    """One reply; whole or in chunks it has the same id, and its reasoning goes by the two names that clients know.

    `warnings` say what of the request was passed over; a stream tells them in its first chunk.
    """

    def __init__(self, warnings: Sequence[str] = ()) -> None:
        self._warnings = {"warnings": list(warnings)} if warnings else {}
        self._common = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time()),
            "model": MODEL,
            "system_fingerprint": f"segscout-{segscout_version()}",
        }

    def whole(self, result: Result, *, content: str, reasoning: str, segmentation: Mapping[str, Any]) -> dict[str, Any]:
        """Return the completion in one piece."""
        said = {"role": "assistant", "content": content, "refusal": None}
        message = said | reasoned(reasoning) | {"segmentation": segmentation}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(result)}
        told = {"object": "chat.completion", "choices": [choice], "usage": usage_of(result.usage)}
        return {**self._common, **told, **self._warnings}

    def first_chunk(self) -> dict[str, Any]:
        """Return the chunk that says who speaks."""
        return self.chunk({"role": "assistant", "content": ""}) | self._warnings

    def chunk(self, delta: Mapping[str, Any], *, finish: str | None = None) -> dict[str, Any]:
        """Return a chunk that adds `delta`; the last one says why it ends."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice]}

    def cost(self, result: Result) -> dict[str, Any]:
        """Return the chunk without choices that tells the cost."""
        return {
            **self._common,
            "object": "chat.completion.chunk",
            "choices": [],
            "usage": usage_of(result.usage),
        }


def reasoned(text: str) -> dict[str, str]:
    """Return reasoning by the name of today, and by the one that older clients read."""
    return {"reasoning": text, "reasoning_content": text}


def finish_reason(result: Result) -> str:
    """Return "stop", or "length" if the budget was spent before there was an answer."""
    return "length" if result.ending in _SPENT else "stop"


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return the tokens of all turns, and what else an episode costs; `seconds` are those of its nodes together."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "turns": usage.turns,
        "searches": usage.searches,
        "seconds": round(sum(usage.seconds.values()), 3),
    }


def list_models(started: int) -> dict[str, Any]:
    """Return the list that holds the only model; `started` is when the server began, in seconds since 1970."""
    return {"object": "list", "data": [model_card(started)]}


def model_card(started: int) -> dict[str, Any]:
    """Return the only model as OpenAI describes one."""
    return {"id": MODEL, "object": "model", "created": started, "owned_by": "segscout"}
