"""Ask again after faults that may pass, as late as the provider wishes and never all at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tools.search.base import ImageHit, SearchProvider, TextHit
from tools.search.replies import PassingSearchError

_Hits = TypeVar("_Hits")


class RetryingSearch:
    """Pass searches on, and again after a fault that may pass."""

    def __init__(self, inner: SearchProvider, *, retries: int = 3, pause: float = 1.0, longest: float = 20.0) -> None:
        """Try `retries` times more, after `pause` seconds, then twice that, and so on, each with jitter.

        A provider that asks for more than `longest` seconds of patience is not asked again.
        """
        self.name = inner.name
        self._inner = inner
        self._retries = retries
        self._pause = pause
        self._longest = longest

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return the provider's hits; its last SearchError if it never answers."""
        return await self._try(self._inner.search_text, query, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return the provider's hits; its last SearchError if it never answers."""
        return await self._try(self._inner.search_images, query, limit)

    async def _try(self, search: Callable[[str, int], Awaitable[_Hits]], query: str, limit: int) -> _Hits:
        for attempt in range(self._retries):
            try:
                return await search(query, limit)
            except PassingSearchError as error:
                seconds = max(error.wait, min(self._pause * 2**attempt, self._longest))
                if seconds > self._longest:
                    raise
            await asyncio.sleep(seconds * random.uniform(1.0, 1.5))
        return await search(query, limit)
