"""What chat endpoints send back, made sense of: replies into completions, faults into errors with a remedy."""

import re
from collections.abc import Sequence
from typing import Any

import openai
from pydantic import BaseModel, ValidationError

from graphs.policies.base import Completion, NoRoomError
from graphs.policies.openai_tools import read_call
from graphs.tool_calls import spell_turn
from tools.errors import PolicyError

_MAX_QUOTE = 300
_KEY = "[the key]"
_NO_ROOM = re.compile(
    r"context[ _](?:length|window|size)|maximum model length|prompt is too long|at most \d+ image|too many images",
    re.IGNORECASE,
)
"""How servers say that a conversation is too long: vLLM in several ways, OpenAI, SGLang, llama.cpp and hosted ones."""
_TOOLS = re.compile(r"\btools\b|tool[ _-]?(?:use|call|choice)|function.?call", re.IGNORECASE)


class _Function(BaseModel):
    name: str = ""
    arguments: Any = None


class _ToolCall(BaseModel):
    function: _Function = _Function()


class _Message(BaseModel):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Reply(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Model(BaseModel):
    id: str
    owned_by: str | None = None


class _Models(BaseModel):
    data: list[_Model]


class UnusableReplyError(Exception):
    """The endpoint answered with success, but not with a completion; worth another try."""


def read_models(body: bytes) -> tuple[list[str], bool]:
    """Return the names of the served models and whether vLLM serves them; UnusableReplyError if it is no list."""
    try:
        models = _Models.model_validate_json(body).data
    except ValidationError as error:
        raise UnusableReplyError("its list of models cannot be read") from error
    return [model.id for model in models], any(model.owned_by == "vllm" for model in models)


def read_completion(body: bytes, stop: Sequence[str]) -> Completion:
    """Read a chat completion; what the server split off is put back, thinking before the text and calls behind it.

    Raises UnusableReplyError for a body that is no completion or holds neither text nor calls.
    """
    try:
        reply = _Reply.model_validate_json(body)
    except ValidationError as error:
        start = body[:80].decode("utf-8", "replace").strip()
        raise UnusableReplyError(f"it sent no chat completion but {start!r}") from error
    if not reply.choices:
        raise UnusableReplyError("it sent a completion without choices")
    choice = reply.choices[0]
    text = choice.message.content or ""
    thinking = choice.message.reasoning or choice.message.reasoning_content
    calls = [read_call(call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    if not text.strip() and not calls:
        cut = " within the token limit" if choice.finish_reason == "length" else ""
        raise UnusableReplyError(f"it sent an empty completion{cut}")
    if thinking:
        text = f"<thinking> {thinking.strip()} </thinking>\n{text.lstrip()}"
    if calls:
        text = spell_turn(text, calls)
    usage = reply.usage or _Usage()
    finish = "length" if choice.finish_reason == "length" else "stop"
    return Completion(
        close_at_stop(text, stop, stopped=finish == "stop"),
        "length" if finish == "length" else "stop",
        usage.prompt_tokens,
        usage.completion_tokens,
    )


def close_at_stop(text: str, stop: Sequence[str], *, stopped: bool) -> str:
    """End `text` after its first stop string, whatever the server made of stop strings.

    A server that ignores them goes on behind: that is cut. A plain OpenAI server removes them: if the text `stopped`
    inside a tag whose closing tag is a stop string, that closing tag is put back.
    """
    ends = [text.index(end) + len(end) for end in stop if end in text]
    if ends:
        return text[: min(ends)]
    opened = [(text.rfind(end.replace("</", "<", 1)), end) for end in stop if end.startswith("</")]
    at, end = max(opened, default=(-1, ""))
    return text + end if stopped and at >= 0 and "</thinking>" not in text[at:] else text


def to_policy_error(
    error: Exception, endpoint: str, model: str, served: Sequence[str], *, key: str = "", tools: bool = False
) -> PolicyError:
    """Name the endpoint, what it did, and what mends it; never quotes the key, though a server may repeat it.

    The key is taken out of `error` itself, too, because tracebacks show it. `tools`: the request offered some.
    """
    if key:
        error.args = tuple(one.replace(key, _KEY) if isinstance(one, str) else one for one in error.args)
        if isinstance(error, openai.APIError):
            error.message = error.message.replace(key, _KEY)
    match error:
        case UnusableReplyError():
            return PolicyError(f"{endpoint} gave nothing usable: {error}.", remedy="Look at the server's log.")
        case openai.APITimeoutError():
            return PolicyError(
                f"{endpoint} gave no answer in time.",
                remedy="Wait until the model has loaded, or in Python give the policy a longer timeout.",
            )
        case openai.APIConnectionError():
            return PolicyError(
                f"{endpoint} cannot be reached ({error.__cause__ or error}).",
                remedy="Start the server (vllm serve MODEL) or correct the address.",
            )
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return PolicyError(
                f"{endpoint} refused the API key (HTTP {error.status_code}).", remedy="Set SEGSCOUT_API_KEY."
            )
        case openai.APIStatusError() if error.status_code == 400 and _NO_ROOM.search(error.message):
            return NoRoomError(
                f"{endpoint} has no room for the conversation (HTTP 400: {_quote(error)}).",
                remedy="Serve with a larger --max-model-len and more images in --limit-mm-per-prompt "
                "(`segscout profiles NAME` says how many), or allow fewer turns and searches.",
            )
        case openai.BadRequestError() | openai.UnprocessableEntityError() | openai.NotFoundError() if (
            tools and _TOOLS.search(error.message)
        ):
            return PolicyError(
                f"{endpoint} takes no tool calls (HTTP {error.status_code}: {_quote(error)}).",
                remedy="Start vLLM with --enable-auto-tool-choice --tool-call-parser hermes (or the model's own), "
                "name a --model that calls tools, or choose another --dialect.",
            )
        case openai.NotFoundError() if served:
            return PolicyError(
                f"{endpoint} has no model {model!r}; it serves {', '.join(served[:10])}.",
                remedy=f"Use --model {served[0]}.",
            )
        case openai.NotFoundError():
            return PolicyError(
                f"{endpoint} has no chat endpoint or no model {model!r} (HTTP 404).",
                remedy="Give an address that ends in /v1, and --model.",
            )
        case openai.RateLimitError():
            return PolicyError(
                f"{endpoint} turned the request away (HTTP 429: {_quote(error)}).",
                remedy="Lower the concurrency, wait, or check the quota.",
            )
        case openai.APIStatusError() if error.status_code < 400:
            return PolicyError(
                f"{endpoint} redirects elsewhere (HTTP {error.status_code}).",
                remedy="Give the address that it redirects to; nothing is sent on by itself.",
            )
        case openai.APIStatusError() if error.status_code >= 500:
            return PolicyError(
                f"{endpoint} failed (HTTP {error.status_code}: {_quote(error)}).", remedy="Look at the server's log."
            )
        case openai.APIStatusError():
            return PolicyError(
                f"{endpoint} refused the request (HTTP {error.status_code}: {_quote(error)}).",
                remedy="Check that the model takes this many images and tokens.",
            )
    return PolicyError(f"{endpoint}: {type(error).__name__}: {error}.", remedy="Look at the server's log.")


def _quote(error: openai.APIStatusError) -> str:
    return " ".join(str(error.message).split())[:_MAX_QUOTE]
