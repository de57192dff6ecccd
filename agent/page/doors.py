"""The doors of the page: only what it needs of Gradio can be reached, and every answer forbids what it does not do."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.page.headers import SAFE_HEADERS
from agent.server.errors import RequestError, error_response
from agent.server.session import PAGE

_NEEDED = re.compile(
    rf"{PAGE}(/|/theme\.css|/(assets|static|media|gradio_api/heartbeat)/.+|/media|/login|/logout"
    r"|/gradio_api/(queue/join|queue/data|app_id))?"
)
"""Gradio also follows addresses, serves files by their path and takes uploads; none of this has a limit of ours."""


class Doors:
    """ASGI middleware: answer 404 to what the page does not need, and add headers to all that it does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if the page needs it."""
        if scope["type"] != "http" or not (scope["path"] == PAGE or scope["path"].startswith(f"{PAGE}/")):
            await self._app(scope, receive, send)
            return
        if not _NEEDED.fullmatch(scope["path"]):
            refused = RequestError("the page has nothing there.", remedy=f"Open {PAGE}/.", status=404, code="no_page")
            await error_response(refused)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SAFE_HEADERS)
            await send(message)

        await self._app(scope, receive, guarded)
