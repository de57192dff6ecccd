"""So many runs at once, so many waiting in line, and an honest "come back later" for the rest."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from agent.server.errors import RequestError

_FIRST_GUESS_SECONDS = 5.0
_LATEST_SECONDS = 120
_NEWEST_SHARE = 0.2
"""How much the last run counts in the mean of all."""


class Gate:
    """Let at most `running` in at once, first come first served, while at most `waiting` wait.

    Whoever is let into the line is served in turn, so the line is long: those whom it refuses must try again, and each
    time others may be quicker. It is shorter only where a run takes so long that the last in line would wait for more
    than `seconds`.
    """

    def __init__(self, running: int, waiting: int, *, seconds: float) -> None:
        self._slots = asyncio.Semaphore(running)
        self._most_running, self._most_waiting, self._most_seconds = running, waiting, seconds
        self._mean_seconds: float | None = None
        self.running = 0
        """How many are in."""
        self.waiting = 0
        """How many wait in line."""

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a place and hold it; RequestError (429, with Retry-After) at once if the line is full.

        A run that is left by an error, its cancellation included, tells nothing of how long runs take.
        """
        if self._slots.locked() and self._is_full():
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
            self._learn(monotonic() - start)
        finally:
            self.running -= 1
            self._slots.release()

    def _is_full(self) -> bool:
        too_late = self._mean_seconds is not None and self._wait(self._mean_seconds) > self._most_seconds
        return self.waiting >= self._most_waiting or too_late

    def _wait(self, mean_seconds: float) -> float:
        """Return the seconds that one more in line would probably wait."""
        return mean_seconds * (self.waiting + 1) / self._most_running

    def _learn(self, seconds: float) -> None:
        known = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = known + _NEWEST_SHARE * (seconds - known)

    def _busy(self) -> RequestError:
        wait = math.ceil(self._wait(_FIRST_GUESS_SECONDS if self._mean_seconds is None else self._mean_seconds))
        seconds = min(max(wait, 1), _LATEST_SECONDS)
        return RequestError(
            f"{self.running} runs are under way and {self.waiting} wait.",
            remedy=f"Try again in {seconds} s.",
            status=429,
            code="busy",
            headers={"Retry-After": str(seconds)},
        )
