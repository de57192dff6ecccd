"""Fetch what strangers name, and nothing else: the only module that follows a URL found on the web or given by a user.

Knows no cookies, no proxies, no credentials and no files. What it allows is decided before a byte is sent (`urls`,
`dialing`), and counted while bytes arrive (`bodies`).
"""

import asyncio
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import httpcore2 as httpcore
import httpx2 as httpx

from tools.errors import FetchError, boundary
from tools.web.bodies import Body
from tools.web.dialing import GuardedBackend, Resolve, system_resolve
from tools.web.urls import check_url

USER_AGENT = "Segscout/0.1 (research agent; fetches what a search has found)"
_MOVED = frozenset({301, 302, 303, 307, 308})
_ELSEWHERE = "Choose another source."


@dataclass(frozen=True)
class FetchLimits:
    """What one fetch may cost."""

    seconds: float = 15.0
    """From the first look-up to the last byte, redirects included."""

    bytes: int = 10_000_000
    """Of the body, both as it is sent and once it is decompressed."""

    redirects: int = 3
    ports: frozenset[int] = frozenset({80, 443})


@dataclass(frozen=True)
class Fetched:
    """What a server sent: `url` is where it was in the end, `kind` the content type that it claimed, lower case."""

    url: str
    kind: str
    charset: str
    body: bytes


class Fetcher:
    """Fetch from public web servers, each time over a connection of its own; safe for concurrent use."""

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        user_agent: str = USER_AGENT,
        trust: ssl.SSLContext | None = None,
        resolve: Resolve = system_resolve,
        dial: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Fetch within `limits`; `trust` replaces the system's certificate authorities.

        `resolve` and `dial` replace the system's names and sockets, for tests: `dial` is asked for addresses that have
        passed the check, so that a test can answer for a public server without weakening any guard.
        """
        self.limits = limits or FetchLimits()
        self._user_agent = user_agent
        self._given_trust = trust
        self._backend = GuardedBackend(resolve, dial or httpcore.AnyIOBackend())

    async def fetch(self, url: str, kinds: Collection[str]) -> Fetched:
        """Return what `url` holds, following redirects; `kinds` are the content types that are allowed.

        Raises FetchError for what is refused, too large, too slow, of another type, or not there.
        """
        limit = asyncio.timeout(self.limits.seconds)
        try:
            with boundary(FetchError, "the fetch failed", remedy=_ELSEWHERE):
                async with limit:
                    return await self._follow(url, kinds)
        except FetchError as error:
            if limit.expired():
                told = f"the fetch took longer than {self.limits.seconds:.3g} s."
                raise FetchError(told, remedy=_ELSEWHERE) from error
            raise

    async def _follow(self, url: str, kinds: Collection[str]) -> Fetched:
        here = check_url(url, self.limits.ports)
        for _ in range(self.limits.redirects + 1):
            found = await self._ask(here, kinds)
            if isinstance(found, Fetched):
                return found
            if here.scheme == "https" and found.scheme != "https":
                raise FetchError(f"{here.host} redirects away from https.", remedy=_ELSEWHERE)
            here = check_url(found, self.limits.ports)
        raise FetchError(f"there are more than {self.limits.redirects} redirects.", remedy=_ELSEWHERE)

    async def _ask(self, url: httpx.URL, kinds: Collection[str]) -> Fetched | httpx.URL:
        """Ask one server once; return what it sent, or where it says to look, which is not checked yet."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": self._user_agent,
            "Accept": ", ".join(kinds),
            "Accept-Encoding": "gzip",
            "Connection": "close",
        }
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._trust(url), network_backend=self._backend) as pool,
            pool.stream("GET", target, headers=list(headers.items())) as response,
        ):
            told = httpx.Headers(response.headers)
            if response.status in _MOVED and "location" in told:
                return url.join(told["location"])
            if response.status != 200:
                raise FetchError(f"{url.host} answered HTTP {response.status}.", remedy=_ELSEWHERE)
            kind, charset = _content_type(told)
            if kind not in kinds:
                raise FetchError(f"{url.host} sent {kind[:60] or 'no content type'!r}.", remedy=_ELSEWHERE)
            body = Body(told, self.limits.bytes)
            async for part in response.aiter_stream():
                body.add(part)
            return Fetched(str(url), kind, charset, body.finish())

    def _trust(self, url: httpx.URL) -> ssl.SSLContext | None:
        return self._authorities if url.scheme == "https" else None

    @cached_property
    def _authorities(self) -> ssl.SSLContext:
        """Reading the certificates takes tens of milliseconds: once, and never without TLS."""
        return self._given_trust or httpx.create_ssl_context()


def _content_type(headers: httpx.Headers) -> tuple[str, str]:
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.lower().partition("charset=")[2].partition(";")[0]
    return kind.strip().lower(), charset.strip(" \"'")
