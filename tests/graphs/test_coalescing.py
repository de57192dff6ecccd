"""Coalescer: everybody gets the sample of his own seed, in as few requests as seeds in a row allow."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.policies.coalescing import Coalescer


class Server:
    """Draws samples that tell what was asked; notes each request, and those that were stopped."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.stopped = 0
        self.broken: set[int] = set()
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.go.set()

    def ask(self, key: str):  # type: ignore[no-untyped-def]
        async def ask(first: int, count: int) -> Sequence[str]:
            self.asked.append((key, first, count))
            self.reached.set()
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.stopped += 1
                raise
            if spoilt := self.broken.intersection(range(first, first + count)):
                raise LookupError(f"seed {min(spoilt)}")
            return [f"{key} {first + at}" for at in range(count)]

        return ask


def join(coalescer: Coalescer[str], server: Server, key: str, seed: int):  # type: ignore[no-untyped-def]
    return coalescer.join(key, seed, server.ask(key))


@settings(max_examples=30, deadline=None)
@given(asks=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 12)), max_size=24), most=st.integers(1, 5))
def test_everybody_gets_the_sample_of_his_seed(asks: list[tuple[str, int]], most: int) -> None:
    server, coalescer = Server(), Coalescer[str](pause=0.001, most=most)

    async def play() -> list[str]:
        return await asyncio.gather(*(join(coalescer, server, key, seed) for key, seed in asks))

    assert asyncio.run(play()) == [f"{key} {seed}" for key, seed in asks]
    assert sum(count for *_, count in server.asked) == len(asks)
    assert all(count <= most for *_, count in server.asked)


async def test_seeds_that_follow_on_one_another_are_one_request() -> None:
    server, coalescer = Server(), Coalescer[str]()
    await asyncio.gather(*(join(coalescer, server, "a", seed) for seed in (5, 3, 9, 4, 6, 10)))
    assert sorted(server.asked) == [("a", 3, 4), ("a", 9, 2)]


async def test_each_that_joins_is_waited_for() -> None:
    server, coalescer = Server(), Coalescer[str](pause=1.5)
    tasks = []
    for seed in range(4):
        tasks.append(asyncio.create_task(join(coalescer, server, "a", seed)))
        await asyncio.sleep(0.5)  # in all longer than the pause
    await asyncio.gather(*tasks)
    assert server.asked == [("a", 0, 4)]


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    server, coalescer = Server(), Coalescer[str]()
    server.go.clear()
    early, late, stays = (asyncio.create_task(join(coalescer, server, "a", seed)) for seed in range(3))
    await asyncio.sleep(0)
    early.cancel()
    await server.reached.wait()
    late.cancel()
    await asyncio.sleep(0)
    server.go.set()
    assert await stays == "a 2"
    assert server.asked == [("a", 1, 2)]
    assert (early.cancelled(), late.cancelled(), server.stopped) == (True, True, 0)


async def test_a_request_that_nobody_waits_for_is_stopped() -> None:
    server, coalescer = Server(), Coalescer[str]()
    server.go.clear()
    tasks = [asyncio.create_task(join(coalescer, server, "a", seed)) for seed in range(2)]
    await server.reached.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (server.asked, server.stopped) == ([("a", 0, 2)], 1)


async def test_what_fails_together_is_asked_for_one_by_one() -> None:
    server, coalescer = Server(), Coalescer[str]()
    server.broken = {1, 2}
    told = await asyncio.gather(*(join(coalescer, server, "a", seed) for seed in range(3)), return_exceptions=True)
    assert [str(each) for each in told] == ["a 0", "seed 1", "seed 2"]
    assert server.asked == [("a", 0, 3), ("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]
    server.broken.clear()
    assert await asyncio.gather(*(join(coalescer, server, "a", seed) for seed in range(2))) == ["a 0", "a 1"]


def test_event_loops_ask_for_themselves_and_are_not_kept() -> None:
    coalescer = Coalescer[str](pause=0.05)
    servers = [Server(), Server()]

    async def group(server: Server, first: int) -> list[str]:
        return await asyncio.gather(*(join(coalescer, server, "a", first + at) for at in range(3)))

    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(lambda at: asyncio.run(group(servers[at], 3 * at)), range(2)))
    assert told == [["a 0", "a 1", "a 2"], ["a 3", "a 4", "a 5"]]
    assert [server.asked for server in servers] == [[("a", 0, 3)], [("a", 3, 3)]]

    async def leave() -> None:
        asyncio.create_task(join(coalescer, servers[0], "a", 0))  # noqa: RUF006 - the loop ends before it is asked
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert (coalescer._batches, coalescer._requests) == ({}, set())
