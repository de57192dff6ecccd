"""Tavily: a search made for agents, by its own client (`tavily-python`)."""

import json
from functools import cached_property, partial
from typing import Any

from pydantic import BaseModel, SecretStr

from tools.search.base import ImageHit, TextHit
from tools.search.kept_replies import ask_once
from tools.search.replies import asking, check_status, read_reply
from tools.search.results import Found, as_image_hits, as_query, as_text_hits
from tools.web.extras import load_extra
from tools.web.pictures import PictureFetcher

_MOST = 20
"""Results that Tavily gives at most."""


class _Result(BaseModel):
    title: str | None = None
    url: str | None = None
    content: str | None = None
    score: float = 0.0


class _Image(BaseModel):
    url: str
    description: str | None = None


class _Reply(BaseModel):
    query: str  # in every reply, which tells an empty one from something else
    results: list[_Result]
    images: list[_Image | str] = []


class TavilySearch:
    """Search the web through Tavily, one credit a search, two with `depth` advanced."""

    name = "tavily"

    def __init__(
        self,
        key: SecretStr,
        pictures: PictureFetcher,
        *,
        depth: str = "basic",
        seconds: float = 20.0,
        url: str = "https://api.tavily.com",
    ) -> None:
        """Ask with `key`, each time within `seconds`; InputError if tavily-python is not installed."""
        self._tavily = load_extra("tavily", "searching with Tavily")
        self._httpx = load_extra("httpx", "searching with Tavily")
        self._key = key
        self._pictures = pictures
        self._depth = depth
        self._seconds = seconds
        self._url = url

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first; SearchError if Tavily fails."""
        reply = await self._ask(query, limit)
        found = [Found(result.title, result.url, result.content, score=result.score) for result in reply.results]
        return as_text_hits(found, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` image hits, best first, each with its description; SearchError if Tavily fails."""
        reply = await self._ask(query, limit, include_images=True, include_image_descriptions=True)
        images = [_Image(url=image) if isinstance(image, str) else image for image in reply.images]
        found = [Found(image.description, image.url, picture=image.url) for image in images]
        return await as_image_hits(found, limit, self._pictures)

    async def _ask(self, query: str, limit: int, **more: bool) -> _Reply:
        asked = {"query": as_query(query), "limit": limit, "depth": self._depth, **more}
        return await ask_once(asked, lambda: self._send(query, limit, **more), partial(read_reply, self.name, _Reply))

    async def _send(self, query: str, limit: int, **more: bool) -> bytes:
        hooks = {"response": [self._check]}
        late = self._tavily.errors.TimeoutError
        async with (
            asking(self.name, self._seconds, self._httpx.TransportError, late),
            self._httpx.AsyncClient(base_url=self._url, verify=self._trust, event_hooks=hooks) as http,
        ):
            client = self._tavily.AsyncTavilyClient(self._key.get_secret_value(), client=http)
            asked = {"search_depth": self._depth, "max_results": min(limit, _MOST), "timeout": self._seconds}
            answer = await client.search(as_query(query), **asked, **more)
        return json.dumps(answer).encode()

    async def _check(self, response: Any) -> None:
        """Judge a response before the client does, whose errors do not say how long to wait."""
        check_status(self.name, response.status_code, response.headers, await response.aread(), self._key)

    @cached_property
    def _trust(self) -> Any:
        return self._httpx.create_ssl_context()
