"""Server-sent events of one run, sent while it goes on; when the client leaves, the run is cancelled."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
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


class RunStream(StreamingResponse):
    """Answer with what `produce` puts, as it comes; the run is closed with the response, however that ends."""

    def __init__(self, run: Run, produce: Produce, *, ping_seconds: float) -> None:
        self._run = run
        self._chunks = _chunks(run, produce, ping_seconds)
        super().__init__(self._chunks, media_type="text/event-stream", headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; what is under way is cancelled and awaited if the client leaves."""
        async with self._run, aclosing(self._chunks):
            await super().__call__(scope, receive, send)


async def _chunks(run: Run, produce: Produce, ping_seconds: float) -> AsyncGenerator[bytes]:
    """Yield what a task of its own produces, and a ping whenever that takes long.

    The run gives its place back as soon as it is through: a client that reads slowly costs a connection, no more.
    """
    chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def work() -> None:
        try:
            async with run:
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
