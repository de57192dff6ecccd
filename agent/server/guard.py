"""Who may ask: with a key, whoever has it, or a signed link to one file; without one, only this very machine."""

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.server.errors import RequestError, error_response
from agent.server.hosts import is_loopback
from agent.server.links import Links
from agent.server.session import LOGIN, covers, from_another_site, has_session

OPEN = frozenset({"/health"})
"""Paths that need no key, so that a load balancer may look."""


class Guard:
    """ASGI middleware: ask for the key on every path but `OPEN`, and but for files whose link is signed.

    With `page`, a browser's login counts where the page goes.
    Without a key the server listens on the loopback interface alone, and what is left to fear are pages of strangers
    in this machine's browsers: a request must name this machine as its host, and come from no other site.
    """

    def __init__(self, app: ASGIApp, *, key: str | None, links: Links, page: bool = False) -> None:
        self._app, self._key, self._links, self._page = app, key, links, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it may pass; what is not HTTP never may, as nothing here speaks anything else."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        refused = self._check(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await error_response(refused)(scope, receive, send)

    def _check(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN:
            return None
        if self._key is None:
            return _check_origin(headers)
        if _has_key(headers, self._key) or self._links.opens(scope["path"], scope["query_string"].decode("latin-1")):
            return None
        return _check_browser(scope, headers, self._key) if self._page and covers(scope["path"]) else _no_key()


def _host(url: str) -> str:
    """Return the host that a URL names, without its port; empty if it cannot be read."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _has_key(headers: Headers, key: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    # As bytes, because compare_digest takes no text beyond ASCII; in a time that tells nothing of the key.
    return secrets.compare_digest(given.strip().encode(), key.encode()) and scheme.lower() == "bearer"


def _no_key() -> RequestError:
    return RequestError(
        "the key is missing or wrong.",
        remedy="Send the header Authorization: Bearer KEY.",
        status=401,
        code="invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _check_origin(headers: Headers) -> RequestError | None:
    host, origin = headers.get("host", ""), headers.get("origin")
    if not is_loopback(_host(f"//{host}")):
        return _foreign("the request names another host than this machine.")
    if origin is not None and origin.partition("://")[2] != host:
        return _foreign("the request comes from a page of another site.")
    return None


def _check_browser(scope: Scope, headers: Headers, key: str) -> RequestError | None:
    """Let a browser in that is logged in, or is about to be; send one that shows a page to the login."""
    if scope["path"] == LOGIN and scope["method"] in ("GET", "HEAD"):
        return None
    if scope["path"] == LOGIN or has_session(headers, key):
        return _foreign("the request comes from a page of another site.") if from_another_site(headers) else None
    if scope["method"] != "GET" or "text/html" not in headers.get("accept", ""):
        return _no_key()
    there = {"Location": f"{scope.get('root_path', '')}{LOGIN}", "Cache-Control": "no-store"}
    return RequestError("log in first.", remedy=f"Open {LOGIN}.", status=303, code="login", headers=there)


def _foreign(told: str) -> RequestError:
    remedy = "Ask from this machine, or give the server a key, SEGSCOUT_SERVER_KEY, and log in."
    return RequestError(told, remedy=remedy, status=403, code="foreign_site")
