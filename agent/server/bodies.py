"""Bodies have an end: so many bytes, alone and together, in so much time, counted before anything reads them."""

import asyncio
from dataclasses import dataclass
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.server.errors import RequestError, error_response

_CLOSE = {"Connection": "close"}
"""What is left of the body is not read, so the connection is of no further use."""


_RETRY_SECONDS = 10


class BodyLimit:
    """ASGI middleware: answer 413 to a body of too many bytes, declared or not, and 408 to one that takes too long.

    Bodies are held in memory until their requests are answered: where they have `all_bytes` together, the answer to
    what would be more is 429.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, all_bytes: int, seconds: float) -> None:
        self._app, self._max_bytes, self._seconds = app, max_bytes, seconds
        self._room = _Room(all_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its body as long as it keeps to the limits."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._max_bytes, self._room, monotonic() + self._seconds)
        if _declared(scope) > self._max_bytes:
            await body.refuse(scope, body.too_large())
            return
        try:
            await self._app(scope, lambda: body.receive(scope), body.send)
        finally:
            self._room.taken -= body.seen


@dataclass
class _Room:
    """What all bodies have together."""

    most: int
    taken: int = 0


class _Body:
    """One request's body on its way; once it is refused, the application talks to nobody."""

    def __init__(self, receive: Receive, send: Send, max_bytes: int, room: _Room, until: float) -> None:
        self._receive, self._send, self._max_bytes, self._room, self._until = receive, send, max_bytes, room, until
        self.seen = 0
        self._complete = self._refused = self._answered = False

    def too_large(self) -> RequestError:
        told = f"the body has more than {self._max_bytes} bytes."
        return RequestError(told, remedy="Send smaller media.", status=413, code="body_too_large", headers=_CLOSE)

    async def receive(self, scope: Scope) -> Message:
        if self._refused:
            return {"type": "http.disconnect"}
        if self._complete:
            return await self._receive()  # the disconnect, for which one may wait as long as one likes
        try:
            async with asyncio.timeout(self._until - monotonic()):
                message = await self._receive()
        except TimeoutError:
            told = "the body did not arrive in time."
            slow = RequestError(told, remedy="Send it faster.", status=408, code="body_too_slow", headers=_CLOSE)
            return await self.refuse(scope, slow)
        size = len(message.get("body", b""))
        self.seen += size
        self._room.taken += size
        self._complete = not message.get("more_body", False)
        if self.seen > self._max_bytes:
            return await self.refuse(scope, self.too_large())
        if self._room.taken > self._room.most:
            return await self.refuse(scope, _no_room())
        return message

    async def send(self, message: Message) -> None:
        if not self._refused:
            self._answered = True
            await self._send(message)

    async def refuse(self, scope: Scope, error: RequestError) -> Message:
        """Answer with the error, unless an answer is on its way; the application is told that the client has gone."""
        if not self._answered and not self._refused:
            await error_response(error)(scope, self._receive, self._send)
        self._refused = True
        return {"type": "http.disconnect"}


def _no_room() -> RequestError:
    told, remedy = "too much is being sent at once.", f"Try again in {_RETRY_SECONDS} s."
    headers = _CLOSE | {"Retry-After": str(_RETRY_SECONDS)}
    return RequestError(told, remedy=remedy, status=429, code="busy", headers=headers)


def _declared(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0
