"""A reply that was paid for is on the disk before anything else is done with it, such as fetching its pictures.

So a process that is killed meanwhile need not ask again. Where recordings are kept, and only until one is written.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from tools.errors import SearchError, boundary
from tools.web.pictures import write_whole

_Reply = TypeVar("_Reply")
_folder: ContextVar[Path | None] = ContextVar("kept_replies", default=None)


@contextmanager
def keeping_replies(folder: Path) -> Iterator[None]:
    """Keep the replies to what is asked inside in `folder`, which is made when there is one."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


async def ask_once(
    asked: Mapping[str, object], ask: Callable[[], Awaitable[bytes]], read: Callable[[bytes], _Reply]
) -> _Reply:
    """Return what was asked from the kept reply, or ask, and keep the reply if it can be read.

    Raises what `ask` and `read` raise, and SearchError if the reply cannot be kept.
    """
    folder = _folder.get()
    if folder is None:
        return read(await ask())
    path = folder / f"{hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()}.json"
    with boundary(
        SearchError, "a reply cannot be kept", remedy="Check the space and the rights of the cache's folder."
    ):
        if path.exists():
            return read(await asyncio.to_thread(path.read_bytes))
        body = await ask()
        reply = read(body)
        write_whole(path, body)  # without a thread: nothing may come between the reply and the disk
        return reply
