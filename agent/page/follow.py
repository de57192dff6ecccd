"""Follow a run for a page: its events as they happen, and a sign of life in between; it ends with who follows it.

Or by its `Stop`, which is pulled elsewhere.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum

from agent.server.runs import Finished, Opener, Runs
from graphs.events import Event

TICK_SECONDS = 1.0


class Sign(Enum):
    """What a run does beside its events."""

    BEGUN = "begun"
    """It has its place, and its media are open."""
    ALIVE = "alive"
    """Nothing has happened for a while."""
    STOPPED = "stopped"
    """It was stopped, and nothing of it is left."""


class Stop:
    """Ends one run, also one that has hardly begun."""

    def __init__(self) -> None:
        self._pulled = False
        self._task: asyncio.Task[None] | None = None
        self.told = asyncio.Event()
        """Set when whoever follows the run has told all of it."""

    def pull(self) -> None:
        """End the run, or keep it from beginning."""
        self._pulled = True
        if self._task is not None:
            self._task.cancel()

    def ends(self, task: asyncio.Task[None]) -> None:
        """Take the task of the run, at once if it was pulled before."""
        self._task = task
        if self._pulled:
            task.cancel()


async def follow(
    runs: Runs, query: str, opener: Opener, stop: Stop, thread_id: str | None = None, choice: int | None = None
) -> AsyncGenerator[Event | Finished | Sign]:
    """Wait for a place, run, and yield what happens; raises what `Runs.open` and `Run.watch` raise.

    With `thread_id`, go on with the run that asked a question, by the number of the choice.

    All of the run is done in one task: what is under way there is cancelled and awaited when this generator is closed.
    A page that was left is noticed at the next sign of life, so these are frequent.
    """
    happened: asyncio.Queue[Event | Finished | Sign | None] = asyncio.Queue()

    async def work() -> None:
        async with await runs.open(query, query, opener, thread_id, choice) as run, aclosing(run.watch()) as items:
            happened.put_nowait(Sign.BEGUN)
            async for item in items:
                happened.put_nowait(item)

    task = asyncio.create_task(work())
    task.add_done_callback(lambda _: happened.put_nowait(None))
    stop.ends(task)
    try:
        while True:
            try:
                item = await asyncio.wait_for(happened.get(), TICK_SECONDS)
            except TimeoutError:
                yield Sign.ALIVE
                continue
            if item is None:
                break
            yield item
        if task.cancelled():
            yield Sign.STOPPED
        else:
            task.result()
    finally:
        task.cancel()
        await asyncio.wait((task,))
