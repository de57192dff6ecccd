"""Shared: what many want is made once, as long as it is the same."""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from graphs.policies.sharing import Shared


class Maker:
    """Makes things when it is let go; counts."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.stopped = 0
        self.fails = False
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    def make(self, key: str) -> Callable[[], Coroutine[Any, Any, str]]:
        async def make() -> str:
            self.made.append(key)
            number = len(self.made)
            self.begun.set()
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.stopped += 1
                await asyncio.sleep(0.01)  # it takes a while to end
                raise
            if self.fails:
                raise LookupError(key)
            return f"{key} {number}"

        return make


async def test_those_who_wait_and_those_who_come_later_get_the_same() -> None:
    maker, shared = Maker(), Shared[str](4)
    early = [asyncio.create_task(shared.get(key, maker.make(key))) for key in "aab"]
    await asyncio.sleep(0)
    maker.go.set()
    assert await asyncio.gather(*early) == ["a 1", "a 1", "b 2"]
    assert await shared.get("a", maker.make("a")) == "a 1"


async def test_only_what_was_used_last_is_kept() -> None:
    maker, shared = Maker(), Shared[str](2)
    maker.go.set()
    told = [await shared.get(key, maker.make(key)) for key in "abacab"]
    assert told == ["a 1", "b 2", "a 1", "c 3", "a 1", "b 4"]


async def test_what_failed_is_told_to_all_and_tried_again_for_the_next() -> None:
    maker, shared = Maker(), Shared[str](4)
    maker.fails = True
    maker.go.set()
    told = await asyncio.gather(*(shared.get("a", maker.make("a")) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in told] == [LookupError] * 3
    maker.fails = False
    assert await shared.get("a", maker.make("a")) == "a 2"


async def test_each_who_was_told_may_try_again_at_once() -> None:
    maker, shared = Maker(), Shared[str](4)
    maker.fails = True
    maker.go.set()

    async def insist() -> str:
        try:
            return await shared.get("a", maker.make("a"))
        except LookupError:
            maker.fails = False
            return await shared.get("a", maker.make("a"))

    assert await asyncio.gather(*(insist() for _ in range(3))) == ["a 2"] * 3


async def test_what_fails_as_it_is_stopped_is_not_logged_as_lost() -> None:
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: lost.append(told))
    begun, shared = asyncio.Event(), Shared[str](4)

    async def make() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("stopped")

    leaves = asyncio.create_task(shared.get("a", make))
    await begun.wait()
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    assert lost == []


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    maker, shared = Maker(), Shared[str](4)
    leaves, stays = (asyncio.create_task(shared.get("a", maker.make("a"))) for _ in range(2))
    await maker.begun.wait()
    leaves.cancel()
    await asyncio.sleep(0)
    maker.go.set()
    assert await stays == "a 1"
    assert maker.stopped == 0


async def test_when_all_have_left_the_making_stops_and_the_next_begins_anew() -> None:
    maker, shared = Maker(), Shared[str](4)
    leaves = asyncio.create_task(shared.get("a", maker.make("a")))
    await maker.begun.wait()
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    comes = asyncio.create_task(shared.get("a", maker.make("a")))  # before the stopped one has noticed
    maker.go.set()
    assert await comes == "a 2"
    assert maker.stopped == 1


async def test_nothing_from_before_is_given_after_it_was_to_be_forgotten() -> None:
    maker, shared = Maker(), Shared[str](4)
    early = asyncio.create_task(shared.get("a", maker.make("a")))
    await maker.begun.wait()
    shared.forget()
    late = asyncio.create_task(shared.get("a", maker.make("a")))
    await asyncio.sleep(0)
    maker.go.set()
    assert (await early, await late) == ("a 1", "a 2")
    assert await shared.get("a", maker.make("a")) == "a 2"
    shared.forget()
    assert await shared.get("a", maker.make("a")) == "a 3"


def test_each_event_loop_makes_its_own_unless_it_is_there() -> None:
    shared, both = Shared[str](4), threading.Barrier(2)

    async def take(meets: bool) -> str:
        async def make() -> str:
            if meets:
                both.wait(timeout=20)  # only if both make theirs at the same time
            return str(threading.get_ident())

        return await shared.get("a", make)

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda _: asyncio.run(take(True)), range(2)))
    assert len(set(told)) == 2
    assert asyncio.run(take(False)) in told
    assert shared._under_way == {}


def test_a_loop_that_ends_takes_what_it_was_making_along() -> None:
    shared = Shared[str](4)

    async def leave() -> None:
        maker = Maker()
        asyncio.create_task(shared.get("a", maker.make("a")))  # noqa: RUF006 - the loop ends before it is made
        await maker.begun.wait()

    async def take() -> str:
        maker = Maker()
        maker.go.set()
        return await shared.get("a", maker.make("a"))

    asyncio.run(leave())
    assert shared._under_way == {}
    assert asyncio.run(take()) == "a 1"
