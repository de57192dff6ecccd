"""The login of a server that has a key: a page without scripts, which turns the key into a cookie."""

import secrets
from html import escape
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent.page.headers import SAFE_HEADERS
from agent.server.session import COOKIE, LOGIN, PAGE, SECONDS, new_token

LOGOUT = f"{PAGE}/logout"

_TEMPLATE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")


def login_routes(key: str) -> APIRouter:
    """Return the login and the logout of a server with a key."""
    router = APIRouter(include_in_schema=False)

    @router.get(LOGIN)
    async def form() -> HTMLResponse:
        """Show the form."""
        return _form(200)

    @router.post(LOGIN)
    async def login(request: Request, given: Annotated[str, Form(alias="key", max_length=1_000)] = "") -> Response:
        """Set the cookie if the key is right."""
        if not secrets.compare_digest(given.strip().encode(), key.encode()):
            return _form(401, "That is not the key of this server. Ask whoever runs it.")
        root = request.scope.get("root_path", "")
        reply = RedirectResponse(f"{root}{PAGE}/", 303)
        secure = request.url.scheme == "https"
        reply.set_cookie(
            COOKIE, new_token(key), SECONDS, path=f"{root}/", secure=secure, httponly=True, samesite="strict"
        )
        return reply

    @router.post(LOGOUT)
    async def logout(request: Request) -> Response:
        """Take the cookie back."""
        root = request.scope.get("root_path", "")
        reply = RedirectResponse(f"{root}{LOGIN}", 303)
        reply.delete_cookie(COOKIE, path=f"{root}/")
        return reply

    return router


def _form(status: int, told: str = "") -> HTMLResponse:
    slip = f'<p role="alert">{escape(told)}</p>' if told else ""
    return HTMLResponse(_TEMPLATE.replace("<!-- slip -->", slip), status, SAFE_HEADERS)
