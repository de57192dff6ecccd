"""HTTP to one vLLM server, cheap enough for hundreds of episodes at once; its faults are told as `openai`'s are."""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

import httpx2 as httpx  # the HTTP library that `openai` stands on
import openai
from pydantic import BaseModel, ValidationError

from graphs.policies.loading import TOKENS
from graphs.policies.openai import is_loopback, may_pass, seconds_to_wait, split_address
from graphs.policies.openai_replies import UnusableReplyError, to_policy_error
from tools.errors import PolicyError

_POOLS = 16
"""A pool looks through all its connections at each request: 256 cost 1.6 ms in one pool, 0.6 ms in sixteen."""
_KEEP_SECONDS = 3.0
"""vLLM closes an idle connection after five; one that is used at that moment breaks."""
_GREETING_SECONDS = 10.0
_STATUS: dict[int, type[openai.APIStatusError]] = {
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
}

_T = TypeVar("_T")


class _Model(BaseModel):
    id: str
    root: str | None = None


class _Models(BaseModel):
    data: list[_Model]


class _Version(BaseModel):
    version: str


@dataclass(frozen=True)
class Served:
    """What a server serves: the model's name, the folder or hub id it came from, and the server's version."""

    model: str
    root: str
    version: tuple[int, int]


class VLLMServer:
    """Ask the vLLM server at `address` (http://host:port); safe for concurrent episodes and several event loops.

    `timeout` is in seconds per request; faults that may pass are tried `retries` times more, with growing pauses.
    Raises InputError for an address that is no URL.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        pause: float = 0.5,
    ) -> None:
        url, endpoint = split_address(address.removeprefix(TOKENS))
        self._url, self.endpoint = url.removesuffix("/v1"), endpoint.removesuffix("/v1")
        self._secret = api_key or ""
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout, self._retries, self._pause = timeout, retries, pause
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[httpx.AsyncClient]] = WeakKeyDictionary()

    def greet(self, model: str | None) -> Served:
        """Return what is served, waiting for the answer; PolicyError if nobody answers or `model` must be chosen."""
        try:
            models = _Models.model_validate_json(self._get("/v1/models")).data
            version = _Version.model_validate_json(self._get("/version")).version
        except ValidationError as error:
            raise self.explain(UnusableReplyError("it does not answer as vLLM does")) from error
        except openai.OpenAIError as error:
            raise self.explain(error) from error
        names = [known.id for known in models]
        chosen = [known for known in models if model in (None, known.id)]
        if len(chosen) != 1:
            raise PolicyError(
                f"{self.endpoint} serves {', '.join(names[:10]) or 'no model'}"
                + (f", not {model!r}." if model else "."),
                remedy="Choose one with --model.",
            )
        numbers = re.match(r"(\d+)\.(\d+)", version)
        return Served(chosen[0].id, chosen[0].root or "", (int(numbers[1]), int(numbers[2])) if numbers else (0, 0))

    async def ask(
        self,
        path: str,
        make_body: Callable[[], Awaitable[bytes]],
        read: Callable[[bytes], _T],
        *,
        mend: Callable[[Exception], bool] = lambda error: False,
    ) -> _T:
        """Post to `path` and read the reply, again after faults that may pass or that `mend` has mended.

        `make_body` is called for each try; the first after the server broke a request off and that was mended comes at
        once. Raises PolicyError that names the server and the remedy.
        """
        attempt = 0
        while True:
            body = await make_body()
            try:
                return read(await self._post(path, body))
            except (openai.OpenAIError, UnusableReplyError) as error:
                mended = mend(error)
                if attempt >= self._retries or not (mended or may_pass(error)):
                    raise self.explain(error) from error
                if attempt or not mended or isinstance(error, openai.APIStatusError):
                    await asyncio.sleep(seconds_to_wait(error, self._pause, attempt))
            attempt += 1

    def explain(self, error: Exception) -> PolicyError:
        """Name the server, what it did, and what mends it."""
        told = to_policy_error(error, self.endpoint, "", (), key=self._secret)
        if isinstance(error, openai.NotFoundError):
            return PolicyError(
                f"{self.endpoint} has no such model or no {error.response.url.path} (HTTP 404: {error.message[:300]}).",
                remedy="Serve with vLLM 0.25 or newer, from 0.30 on with --enable-scale-out, and check --model.",
            )
        return told

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        for client in self._pools.pop(asyncio.get_running_loop(), ()):
            await client.aclose()

    async def _post(self, path: str, body: bytes) -> bytes:
        try:
            response = await self._client().post(self._url + path, content=body)
        except httpx.RequestError as error:
            raise _as_openai(error) from error
        return _content(response)

    def _get(self, path: str) -> bytes:
        timeout = min(_GREETING_SECONDS, self._timeout)
        proxies = not is_loopback(self._url)
        try:
            response = httpx.get(self._url + path, headers=self._headers, timeout=timeout, trust_env=proxies)
        except httpx.RequestError as error:
            raise _as_openai(error) from error
        return _content(response)

    def _client(self) -> httpx.AsyncClient:
        """Return one of this event loop's clients, in turn: connections cannot outlive the loop that opened them."""
        loop = asyncio.get_running_loop()
        if loop not in self._pools:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_SECONDS)
            proxies = not is_loopback(self._url)
            # Reading the certificates takes tens of milliseconds: once for all pools, and never without TLS.
            trusted = httpx.create_ssl_context(trust_env=proxies) if self._url.startswith("https:") else False
            self._pools[loop] = deque(
                httpx.AsyncClient(
                    headers=self._headers, timeout=self._timeout, limits=limits, trust_env=proxies, verify=trusted
                )
                for _ in range(_POOLS)
            )
        self._pools[loop].rotate()
        return self._pools[loop][0]


def _as_openai(error: httpx.RequestError) -> openai.APIConnectionError:
    if isinstance(error, httpx.TimeoutException):
        return openai.APITimeoutError(error.request)
    return openai.APIConnectionError(message=str(error), request=error.request)


def _content(response: httpx.Response) -> bytes:
    """Return the body of a success; raises the `openai` error of any other status."""
    if response.is_success:
        return response.content
    try:
        told = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        told = response.text
    kind = _STATUS.get(response.status_code, openai.APIStatusError)
    if response.status_code >= 500:
        kind = openai.InternalServerError
    raise kind(told, response=response, body=None)
