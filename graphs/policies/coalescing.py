"""Those who ask for samples of the same prompt at the same time ask once: a group's turns, while they agree.

A server that draws `n` samples for one request gives sample `i` the request's seed plus `i`. So only asks whose seeds
follow on one another are put together, and each gets the sample that it would have got alone, whoever else asked. But
it gets it when the slowest of them is done.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Ask = Callable[[int, int], Coroutine[Any, Any, Sequence[T]]]
"""Ask for the samples of a first seed and of those that follow it, so many in all."""


class _Batch(Generic[T]):
    """Asks for the same that have not been sent."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, asyncio.Future[T]]] = []
        self.timer: asyncio.TimerHandle | None = None

    def put_off(self, seconds: float, send: Callable[[], None]) -> None:
        """Send in so many seconds, and not when it was to be sent before."""
        self.drop()
        self.timer = asyncio.get_running_loop().call_later(seconds, send)

    def drop(self) -> None:
        """Do not send."""
        if self.timer is not None:
            self.timer.cancel()


class Coalescer(Generic[T]):
    """Put asks together; safe for concurrent episodes and several event loops.

    An ask is sent once nobody has joined it for `pause` seconds, in requests of at most `most` samples. What cannot be
    had together is asked for one by one.
    """

    def __init__(self, *, pause: float = 0.005, most: int = 32) -> None:
        self._pause, self._most = pause, most
        self._batches: dict[Hashable, _Batch[T]] = {}
        self._requests: set[asyncio.Task[Sequence[T]]] = set()  # an event loop itself holds tasks only weakly

    async def join(self, key: Hashable, seed: int, ask: Ask[T]) -> T:
        """Return the sample of `seed`; asks under one key differ in nothing else.

        Raises what `ask` raises for that sample alone. Who stops waiting takes nothing from the others; when all have,
        the request is stopped.
        """
        loop = asyncio.get_running_loop()
        place = (loop, key)
        batch = self._batches.setdefault(place, _Batch())
        batch.put_off(self._pause, lambda: self._send(place, ask))
        future: asyncio.Future[T] = loop.create_future()
        batch.waiting.append((seed, future))
        try:
            return await future
        finally:
            if all(each.done() for _, each in batch.waiting) and self._batches.get(place) is batch:
                batch.drop()
                del self._batches[place]

    def _send(self, place: Hashable, ask: Ask[T]) -> None:
        waiting = [each for each in self._batches.pop(place).waiting if not each[1].done()]
        for first, futures in _in_runs(waiting, self._most):
            self._request(ask, first, futures)

    def _request(self, ask: Ask[T], first: int, futures: Sequence[asyncio.Future[T]]) -> None:
        request = asyncio.get_running_loop().create_task(ask(first, len(futures)))

        def share_out(done: asyncio.Task[Sequence[T]]) -> None:
            self._requests.discard(done)
            error = None if done.cancelled() else done.exception()
            for at, future in enumerate(futures):
                if future.done():
                    continue
                if done.cancelled():
                    future.cancel()
                elif error is None:
                    future.set_result(done.result()[at])
                elif len(futures) == 1:
                    future.set_exception(error)
                else:
                    self._request(ask, first + at, [future])

        def stop_if_all_left(_: asyncio.Future[T]) -> None:
            if all(future.done() for future in futures):
                request.cancel()

        self._requests.add(request)
        request.add_done_callback(share_out)
        for future in futures:
            future.add_done_callback(stop_if_all_left)


def _in_runs(
    waiting: Sequence[tuple[int, asyncio.Future[T]]], most: int
) -> Iterator[tuple[int, list[asyncio.Future[T]]]]:
    """Yield each first seed with who waits for it and for the seeds that follow."""
    first, run = 0, list[asyncio.Future[T]]()
    for seed, future in sorted(waiting, key=lambda each: each[0]):
        if run and (seed != first + len(run) or len(run) == most):
            yield first, run
            run = []
        first = first if run else seed
        run.append(future)
    if run:
        yield first, run
