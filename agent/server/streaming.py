"""Server-sent events of one run, sent while it goes on; when the client leaves, the run is cancelled."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from agent.server.runs import Run
from agent.server.wire import to_json

DONE = b"data: [DONE]\n\n"
PING = b": working\n\n"
"""A comment, which every reader of event streams passes over."""

Put = Callable[[bytes], None]
Produce = Callable[[Put], Awaitable[None]]

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def event(data: Mapping[str, Any]) -> bytes:
    """Return one event that carries JSON."""
    return b"data: %b\n\n" % to_json(data)


class Opening:
    """A run that is being opened, which may mean that it waits for its place; what it holds is given back by `close`.

    A client is told with the right status what is refused within `seconds`; if it takes longer, its stream begins.
    """

    def __init__(self, opened: Coroutine[Any, Any, Run], seconds: float) -> None:
        self._task, self._seconds = asyncio.ensure_future(opened), seconds

    async def begin(self) -> None:
        """Wait until the run is open, not too long; raises what refuses it."""
        async with AsyncExitStack() as undone:
            undone.push_async_callback(self.close)
            await asyncio.wait((self._task,), timeout=self._seconds)
            if self._task.done():
                self._task.result()
            undone.pop_all()

    async def run(self) -> Run:
        """Return the run when it is open; raises what refuses it."""
        return await self._task

    async def close(self) -> None:
        """Give up the place, in line or inside, and all else."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        if not self._task.cancelled() and self._task.exception() is None:
            await self._task.result().__aexit__(None, None, None)


class RunStream(StreamingResponse):
    """Answer with what `produce` puts, as it comes; the run is closed with the response, however that ends."""

    def __init__(self, opening: Opening, produce: Produce, *, ping_seconds: float) -> None:
        self._opening = opening
        self._chunks = _chunks(produce, ping_seconds)
        super().__init__(self._chunks, media_type="text/event-stream", headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; what is under way is cancelled and awaited if the client leaves."""
        try:
            async with aclosing(self._chunks):
                await super().__call__(scope, receive, send)
        finally:
            await self._opening.close()


async def _chunks(produce: Produce, ping_seconds: float) -> AsyncGenerator[bytes]:
    """Yield what a task of its own produces, and a ping whenever that takes long.

    That task does not wait for who reads: a client that reads slowly costs a connection, and no run's place.
    """
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def work() -> None:
        try:
            await produce(chunks.put_nowait)
        finally:
            chunks.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while True:
            try:
                chunk = await asyncio.wait_for(chunks.get(), ping_seconds)
            except TimeoutError:
                yield PING
                continue
            if chunk is None:
                break
            yield chunk
        await task
    finally:
        task.cancel()
        await asyncio.wait((task,))
