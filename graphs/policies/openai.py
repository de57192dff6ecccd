"""A policy behind any OpenAI-compatible chat endpoint, through the plain `openai` client.

(LangChain's `ChatOpenAI` drops token ids and reasoning.) Knows HTTP and its faults; knows no dialect.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from weakref import WeakKeyDictionary

import openai

from graphs.conversation import ImageRef, Turn
from graphs.policies.base import Completion, Sampling
from graphs.policies.loading import without_credentials
from graphs.policies.openai_fields import refused_field, without_fields
from graphs.policies.openai_messages import ImageFormat, PictureCache, to_messages
from graphs.policies.openai_replies import (
    UnusableReplyError,
    read_completion,
    read_models,
    to_policy_error,
)
from graphs.policies.openai_tools import force, offer, to_tool_messages
from tools.errors import InputError, PolicyError
from tools.image_store import ImageStore

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_RETRY_STATUS = frozenset({408, 409, 425, 429})
_MAX_PAUSE = 30.0


class OpenAIPolicy:
    """Complete conversations at `base_url` (http://host:port/v1); safe for concurrent episodes and several event loops.

    `model` may be left out if the endpoint serves exactly one. `timeout` is in seconds per request; connection faults,
    429, 5xx and unusable replies are tried `retries` times more, with growing pauses and jitter. Raises InputError for
    an address that is no URL.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        image_format: ImageFormat = "png",
        timeout: float = 120.0,
        retries: int = 3,
        pause: float = 0.5,
        skip_special_tokens: bool = True,
    ) -> None:
        self._url, self._endpoint = split_address(base_url)
        self._asked_model = model
        self._model = model or ""
        self._secret = api_key or ""
        self._timeout, self._retries, self._pause = timeout, retries, pause
        self._skip_special_tokens = skip_special_tokens
        self._pictures = PictureCache(image_format)
        self._served: list[str] = []
        self._vllm = False
        self._refused: set[str] = set()
        self._known = False
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The model, if it is known yet, and where it is served."""
        return f"{self._model or 'policy'} at {self._endpoint}"

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Sample the next turn; raises PolicyError that names the endpoint and the remedy."""
        await self._get_to_know()
        tools = sampling.tools
        if tools is not None:
            stop = ()  # calls end where the endpoint says so
        render = to_messages if tools is None else to_tool_messages
        request: dict[str, Any] = {
            "model": self._model,
            "max_tokens": max_tokens,
            "stop": list(stop) or openai.omit,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed % 2**31,
        }
        if self._vllm:
            request["extra_body"] = {
                "include_stop_str_in_output": True,
                "skip_special_tokens": self._skip_special_tokens,
            }

        async def ask(fields: Mapping[str, Any]) -> Completion:
            return await self._ask(fields, lambda: self._messages(turns, images, render), stop)

        if tools is not None:
            return await self._ask_best(ask, {**request, **offer(tools)}, force(tools) if tools.forced else {})
        if sampling.schema is None:
            return await ask(request)
        structure = {"name": "answer", "schema": dict(sampling.schema), "strict": True}
        return await self._ask_best(
            ask, request, {"response_format": {"type": "json_schema", "json_schema": structure}}
        )

    async def _ask_best(
        self,
        ask: Callable[[Mapping[str, Any]], Awaitable[Completion]],
        request: Mapping[str, Any],
        wish: Mapping[str, Any],
    ) -> Completion:
        """Ask with fields that not every endpoint knows; without them once they were refused."""
        if self._refused.issuperset(wish):
            return await ask(request)
        try:
            return await ask({**request, **wish})
        except PolicyError as error:
            if not isinstance(error.__cause__, openai.BadRequestError | openai.UnprocessableEntityError):
                raise
            # If the refusal was for another reason, this one is refused alike.
            completion = await ask(request)
            self._refused |= wish.keys()
            return completion

    async def _messages(
        self, turns: Sequence[Turn], images: ImageStore, render: Callable[..., list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Render the conversation; in another thread if pictures are still to be encoded, which takes milliseconds."""
        parts = (part for turn in turns for part in turn.parts)
        if all(self._pictures.holds(part, images) for part in parts if isinstance(part, ImageRef)):
            return render(turns, images, self._pictures)
        return await asyncio.to_thread(render, turns, images, self._pictures)

    async def served_models(self) -> list[str]:
        """Return the names of the models that the endpoint serves; raises PolicyError."""
        try:
            reply = await self._client().models.with_raw_response.list()
            names, self._vllm = read_models(reply.content)
        except (openai.OpenAIError, UnusableReplyError) as error:
            raise to_policy_error(error, self._endpoint, self._model, (), key=self._secret) from error
        return names

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def _get_to_know(self) -> None:
        """Learn once which models are served and by what; a list that cannot be had matters only without a model."""
        if self._known:
            return
        try:
            self._served = await self.served_models()
        except PolicyError as error:
            if self._asked_model is None:
                raise
            if isinstance(error.__cause__, openai.APIConnectionError):
                return  # not up yet: look again at the next turn
        if self._asked_model is None:
            if len(self._served) != 1:
                raise PolicyError(
                    f"{self._endpoint} serves {', '.join(self._served[:10]) or 'no model'}.",
                    remedy="Choose one with --model." if self._served else "Load a model in the server.",
                )
            self._model = self._served[0]
        self._known = True

    async def _ask(
        self, fields: Mapping[str, Any], render: Callable[[], Awaitable[list[dict[str, Any]]]], stop: Sequence[str]
    ) -> Completion:
        """Send the request with the rendered conversation, again after faults that may pass."""
        attempt = 0
        while True:
            mark = self._pictures.mark
            request = {**fields, "messages": await render()}
            try:
                reply = await self._client().chat.completions.with_raw_response.create(
                    **without_fields(request, self._refused)
                )
                return read_completion(reply.content, stop)
            except (openai.OpenAIError, UnusableReplyError) as error:
                if (field := refused_field(error)) and field not in self._refused:
                    self._refused.add(field)
                    continue
                if attempt >= self._retries or not may_pass(error):
                    served = await self._served_now() if isinstance(error, openai.NotFoundError) else self._served
                    told = to_policy_error(
                        error, self._endpoint, self._model, served, key=self._secret, tools="tools" in request
                    )
                    raise told from error
                if self._may_have_lost_pictures(error, request) and self._pictures.mark == mark:
                    self._pictures.mark = uuid4().hex[:8]
                await asyncio.sleep(seconds_to_wait(error, self._pause, attempt))
            attempt += 1

    def _may_have_lost_pictures(self, error: Exception, request: Mapping[str, Any]) -> bool:
        """Tell whether vLLM may take pictures for ones that its engine holds, and that does not.

        Then every request fails that shows them under those names (multimodal/cache.py of 0.25.1; it mends that itself
        in 0.33).
        """
        shows = any(isinstance(message.get("content"), list) for message in request["messages"])
        return self._vllm and shows and isinstance(error, openai.APIStatusError) and error.status_code == 500

    async def _served_now(self) -> list[str]:
        try:
            return await self.served_models()
        except PolicyError:
            return []

    def _client(self) -> openai.AsyncOpenAI:
        """Return this event loop's client: pooled connections cannot outlive the loop that opened them."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = openai.AsyncOpenAI(
                base_url=self._url,
                api_key=self._secret or "none",
                timeout=self._timeout,
                max_retries=0,  # ours below knows unusable replies too
                # A redirect could lead anywhere, with the pictures; it is told as an error instead.
                http_client=openai.DefaultAsyncHttpxClient(
                    trust_env=not is_loopback(self._url), follow_redirects=False
                ),
            )
        return self._clients[loop]


def split_address(base_url: str) -> tuple[str, str]:
    """Return the base URL to call, with the customary /v1 if it has no path, and the same without credentials.

    Raises InputError for what is no URL.
    """
    parts = urlsplit(base_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = without_credentials(base_url)
        raise InputError(f"{shown!r} is no address of a policy.", remedy="Write it as http://host:8000/v1.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    url = parts._replace(path=path, query="", fragment="").geturl()
    return url, without_credentials(url)


def is_loopback(url: str) -> bool:
    """Tell whether a URL names this machine, to which no proxy leads."""
    return urlsplit(url).hostname in _LOOPBACK


def may_pass(error: Exception) -> bool:
    """Tell whether a fault may be gone at the next try."""
    if isinstance(error, openai.APIStatusError):
        if error.code == "insufficient_quota":
            return False
        return error.status_code >= 500 or error.status_code in _RETRY_STATUS
    return isinstance(error, openai.APIConnectionError | UnusableReplyError)


def seconds_to_wait(error: Exception, first: float, attempt: int) -> float:
    """Return seconds to wait: what the server asks for, else doubling; both with jitter, so that clients spread."""
    asked = error.response.headers.get("retry-after", "") if isinstance(error, openai.APIStatusError) else ""
    seconds = float(asked) if asked.replace(".", "", 1).isdigit() else first * 2**attempt
    return min(seconds, _MAX_PAUSE) * random.uniform(1.0, 1.5)
