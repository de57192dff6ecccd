"""Work for a client only as long as it is there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from agent.server.errors import RequestError

_Value = TypeVar("_Value")


async def while_connected(request: Request, work: Coroutine[Any, Any, _Value]) -> _Value:
    """Do the work, unless the client goes away: then cancel it, wait until it has let go, and raise RequestError.

    The request's body must have been read.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise RequestError("the client has gone.", remedy="Ask again.", status=499, code="client_gone")
    finally:
        leaving.cancel()
        doing.cancel()
        await asyncio.wait((doing, leaving))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
