"""So many runs at once, so many waiting in line, and an honest "come back later" for the rest."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from agent.server.errors import RequestError

_FIRST_GUESS_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 120
_NEWEST_SHARE = 0.2
"""How much the last run counts in the mean of all."""


class Gate:
    """Let at most `running` in at once, first come first served, while at most `waiting` wait."""

    def __init__(self, running: int, waiting: int) -> None:
        self._slots = asyncio.Semaphore(running)
        self._most_running, self._most_waiting = running, waiting
        self._mean_seconds = _FIRST_GUESS_SECONDS
        self.running = 0
        """How many are in."""
        self.waiting = 0
        """How many wait in line."""

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a place and hold it; RequestError (429, with Retry-After) at once if the line is full."""
        if self._slots.locked() and self.waiting >= self._most_waiting:
            raise self._busy()
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        start = monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()
            self._mean_seconds += _NEWEST_SHARE * (monotonic() - start - self._mean_seconds)

    def _busy(self) -> RequestError:
        seconds = math.ceil(self._mean_seconds * (self.waiting + 1) / self._most_running)
        seconds = min(max(seconds, 1), _LONGEST_WAIT_SECONDS)
        return RequestError(
            f"{self.running} runs are under way and {self.waiting} wait.",
            remedy=f"Try again in {seconds} s.",
            status=429,
            code="busy",
            headers={"Retry-After": str(seconds)},
        )
