"""The processes of a Ray run, seen from both ends: what runs in a worker, and the place that has one at all times."""

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any

from evals.runs.work import PlainRow, Play, Work
from tools.errors import EvaluationError, SegscoutError

TRIES = 3
"""Workers that an item may end, and that may die in a row while they open the work."""
Outcome = tuple[int, PlainRow | None]
"""An item and its row; None if its worker died."""


class Worker:
    """What runs in a worker process, as a Ray actor: it opens the work once, then plays what it is given."""

    def __init__(self) -> None:
        self._play: Play | None = None

    async def open(self, work: Work) -> None:
        """Load what the work needs."""
        self._play = await work.open()

    async def play(self, item: int) -> PlainRow:
        """Do one item."""
        assert self._play is not None
        try:
            return await self._play(item)
        except SystemExit:
            os._exit(1)  # Ray leaves calls of an actor that exits in its event loop unanswered, for ever


class Place:
    """Where a worker works. One that dies leaves its place to a new one, which opens the work anew.

    `start` starts a worker, an actor, and `work` is what it is to open, or a reference to it.
    """

    def __init__(self, start: Callable[[], Any], work: Any) -> None:
        self._start = start
        self._work = work
        self._worker: Any = None
        self._opened = False
        self._opening = asyncio.Lock()

    async def worker(self) -> Any:
        """Return a worker that has opened the work, once there is one.

        Raises what opening raises, and EvaluationError if three in a row die over it.
        """
        errors = importlib.import_module("ray.exceptions")
        async with self._opening:
            for attempt in range(1, TRIES + 1):
                if self._opened:
                    break
                self._worker = self._start()
                try:
                    await self._worker.open.remote(self._work)
                    self._opened = True
                except errors.RayTaskError as raised:
                    raise _opening_error(raised.cause) from None
                except errors.RayError as died:
                    self.leave()
                    if attempt == TRIES:
                        raise EvaluationError(
                            f"{TRIES} workers died while they loaded the models.",
                            remedy="Ask for fewer workers, or give them more memory.",
                        ) from died
            return self._worker

    async def play(self, item: int) -> PlainRow | None:
        """Return the row of an item, None if the worker died; raises what the work raises."""
        errors = importlib.import_module("ray.exceptions")
        worker = await self.worker()
        try:
            row: PlainRow = await worker.play.remote(item)
        except errors.RayTaskError as raised:
            raise raised.cause from None
        except errors.RayError:
            if self._worker is worker:
                self.leave()  # it may only be out of reach
            return None
        return row

    def leave(self) -> None:
        """End the worker, with whatever it is at; left alone, it would keep its core as long as an error names it."""
        if self._worker is not None:
            importlib.import_module("ray").kill(self._worker)
            self._worker, self._opened = None, False


def _opening_error(cause: Exception) -> SegscoutError:
    """Return an error of ours as it is, and one line of any other: on a cluster, mostly something is not installed."""
    if isinstance(cause, SegscoutError):
        return cause
    told = f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"
    remedy = "Make sure that segscout and its data are there on every machine."
    return EvaluationError(f"a worker could not open the work: {told}.", remedy=remedy)


async def play_all(places: Sequence[Place], items: Sequence[int], concurrency: int) -> AsyncGenerator[Outcome]:
    """Yield every item with its row, None if its worker died, as they come; each place has `concurrency` under way."""
    waiting = iter(items)
    done: asyncio.Queue[Outcome | BaseException] = asyncio.Queue()

    def tell(lane: asyncio.Task[None]) -> None:
        if not lane.cancelled() and (error := lane.exception()) is not None:
            done.put_nowait(error)

    lanes = [asyncio.create_task(_lane(place, waiting, done)) for place in places for _ in range(concurrency)]
    for lane in lanes:
        lane.add_done_callback(tell)
    try:
        for _ in items:
            outcome = await done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome
    finally:
        for lane in lanes:
            lane.cancel()


async def _lane(place: Place, waiting: Iterator[int], done: asyncio.Queue[Outcome | BaseException]) -> None:
    """Do one item after the other; none is taken before there is a worker for it, others may have one."""
    while True:
        await place.worker()
        item = next(waiting, None)
        if item is None:
            return
        done.put_nowait((item, await place.play(item)))
