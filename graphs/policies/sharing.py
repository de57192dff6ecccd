"""What many ask for at the same time is made once, and kept for those who come later."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Flight(Generic[T]):
    """A thing that is being made, and how many wait for it."""

    task: asyncio.Task[T]
    waiting: int = 0


class Shared(Generic[T]):
    """Make each thing once and keep the `keep` used last; safe for several event loops, each of which makes its own.

    What fails is not kept: all who waited are told, who comes later tries again. Who stops waiting takes nothing from
    the others; when all have, the making is stopped.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._made: OrderedDict[Hashable, T] = OrderedDict()
        self._under_way: dict[Hashable, _Flight[T]] = {}
        self._age = 0
        self._lock = Lock()

    async def get(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the thing of that key; raises what `make` raises."""
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
        loop = asyncio.get_running_loop()
        place = (loop, key)
        flight = self._under_way.get(place)
        if flight is None:
            flight = self._under_way[place] = _Flight(loop.create_task(self._make(key, make)))
            flight.task.add_done_callback(partial(self._end, place, flight))  # before those who wait go on
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                self._drop(place, flight)  # or who comes next would wait for what was stopped

    def forget(self) -> None:
        """Keep nothing that was made, or begun, until now."""
        with self._lock:
            self._made.clear()
            self._under_way.clear()
            self._age += 1

    def _drop(self, place: Hashable, flight: _Flight[T]) -> None:
        if self._under_way.get(place) is flight:
            del self._under_way[place]

    def _end(self, place: Hashable, flight: _Flight[T], task: asyncio.Task[T]) -> None:
        self._drop(place, flight)
        if not task.cancelled():
            task.exception()  # told to those who wait; if nobody does, asyncio would log it as lost

    async def _make(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        age = self._age
        made = await make()
        with self._lock:
            if age == self._age:
                self._made[key] = made
                while len(self._made) > self._keep:
                    self._made.popitem(last=False)
        return made
