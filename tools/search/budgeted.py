"""What a run may spend on searches that cost money, and how many it may have under way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

from tools.errors import InputError, SearchError
from tools.search.base import ImageHit, SearchProvider, TextHit

_Hits = TypeVar("_Hits")


@dataclass
class RequestCount:
    """How many requests a run has sent."""

    sent: int = 0


_run: ContextVar[RequestCount | None] = ContextVar("run_of_requests", default=None)


@contextmanager
def counted_in(run: RequestCount) -> Iterator[None]:
    """Count the requests that are sent inside as those of `run`, which has a budget of its own."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


class BudgetedSearch:
    """Pass on at most `calls` requests of each run, and at most `at_once` at a time of all of them together.

    Every request counts, also one that failed or is a retry, since nobody says which of them is paid for. What is asked
    outside `counted_in` is one run.
    """

    def __init__(self, inner: SearchProvider, *, calls: int, at_once: int = 4) -> None:
        """Allow `calls` requests a run; InputError if there is no room for any at a time."""
        if at_once < 1:
            raise InputError(f"{at_once} searches at once are none.", remedy="Allow at least 1.")
        self.name = inner.name
        self.calls = calls
        self._outside = RequestCount()
        self._inner = inner
        self._at_once = at_once
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return the provider's hits; SearchError if the budget is spent."""
        return await self._spend(self._inner.search_text, query, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return the provider's hits; SearchError if the budget is spent."""
        return await self._spend(self._inner.search_images, query, limit)

    async def _spend(self, search: Callable[[str, int], Awaitable[_Hits]], query: str, limit: int) -> _Hits:
        places = self._places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._at_once))
        async with places:
            run = _run.get() or self._outside
            if run.sent >= self.calls:
                remedy = "Allow more, or replay recorded searches."
                raise SearchError(
                    f"the {self.calls} requests that this run may send to {self.name} are spent.", remedy=remedy
                )
            run.sent += 1
            return await search(query, limit)
