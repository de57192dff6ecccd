"""DuckDuckGo, and other engines by name, without a key: their public pages, read by `ddgs`."""

import asyncio
from typing import Any, Literal

from tools.errors import InputError
from tools.search.base import ImageHit, TextHit
from tools.search.replies import PassingSearchError, asking
from tools.search.results import Found, as_image_hits, as_query, as_text_hits
from tools.web.extras import load_extra
from tools.web.pictures import PictureFetcher

_NEEDS = "searching with DuckDuckGo"


class DuckDuckGoSearch:
    """Search by one engine of `ddgs`; these pages are made for people, and refuse those who ask often.

    The engine's class is asked itself: the library's own front would fall back to other engines without a word, and
    take a refusal for an empty result.
    """

    name = "duckduckgo"

    def __init__(
        self, pictures: PictureFetcher, *, engine: str = "duckduckgo", region: str = "us-en", seconds: float = 15.0
    ) -> None:
        """Ask `engine` for results of `region`, each request within `seconds`.

        Raises InputError if ddgs is not installed or has no such engine for both texts and images.
        """
        self._engines = load_extra("ddgs.engines", _NEEDS).ENGINES
        self._fault = load_extra("ddgs.exceptions", _NEEDS).DDGSException
        known = sorted(set(self._engines["text"]) & set(self._engines["images"]))
        if engine not in known:
            remedy = f"Choose one of {', '.join(known)}."
            raise InputError(f"ddgs has no engine {engine!r} for texts and images.", remedy=remedy)
        self._pictures = pictures
        self._engine = engine
        self._region = region
        self._seconds = seconds

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first; SearchError if the engine fails or refuses."""
        results = await self._ask("text", query)
        return as_text_hits([Found(one.title, _unwrapped(one.href), one.body) for one in results], limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` image hits, best first; SearchError if the engine fails or refuses."""
        results = await self._ask("images", query)
        found = [Found(one.title, one.url, picture=one.image) for one in results]
        return await as_image_hits(found, limit, self._pictures)

    async def _ask(self, category: Literal["text", "images"], query: str) -> list[Any]:
        async with asking(self._engine, 2 * self._seconds, self._fault):  # images take two requests
            # In a thread, since the library blocks; given up, it ends by its own limit.
            results: list[Any] | None = await asyncio.to_thread(self._search, category, as_query(query))
        if results is None:
            raise PassingSearchError(f"{self._engine} refused to answer, as it does to those who ask often.")
        return results

    def _search(self, category: str, query: str) -> list[Any] | None:
        engine = self._engines[category][self._engine](timeout=max(1, int(self._seconds)))
        found: list[Any] | None = engine.search(query, region=self._region)
        return found


def _unwrapped(link: str) -> str:
    """Return where a link of DuckDuckGo's own leads; other links as they are."""
    wrapped = link.partition("//duckduckgo.com/l/?uddg=")[2]
    return wrapped.partition("&rut=")[0] if wrapped else link
