"""Work in this process: several items under way at once, which pays where the policy is an endpoint."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from evals.runs.work import PlainRow, Work
from tools.errors import InputError


@dataclass(frozen=True)
class LocalEngine:
    """Do `concurrency` items at once in this event loop; InputError for fewer than 1."""

    concurrency: int = 1
    name: str = "local"

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise InputError(f"a concurrency of {self.concurrency} is none.", remedy="Choose 1 or more.")

    async def run(self, work: Work, items: Sequence[int]) -> AsyncGenerator[PlainRow]:
        """Yield rows as they come."""
        if not items:
            return  # nothing to load models for
        play = await work.open()
        waiting = iter(items)
        under_way: set[asyncio.Task[PlainRow]] = set()
        try:
            while True:
                for item in waiting:
                    under_way.add(asyncio.ensure_future(play(item)))
                    if len(under_way) >= self.concurrency:
                        break
                if not under_way:
                    return
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in under_way:
                task.cancel()
