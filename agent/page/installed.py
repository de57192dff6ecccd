"""Whether the page can be had, and what stands in its place where it cannot."""

from importlib.util import find_spec

from fastapi import APIRouter

from agent.server.errors import RequestError
from agent.server.session import PAGE
from tools.errors import InputError

INSTALL = "Install the extra: pip install --editable '.[ui]'."


def has_page() -> bool:
    """Return whether what the page needs is installed."""
    return find_spec("gradio") is not None


def check_page() -> None:
    """Raise InputError, naming the extra, if the page cannot be had."""
    if not has_page():
        raise InputError("the web page needs gradio.", remedy=INSTALL)


def missing_page_routes() -> APIRouter:
    """Return the route that says why there is no page."""
    router = APIRouter(include_in_schema=False)

    @router.get(PAGE)
    @router.get(f"{PAGE}/")
    async def missing() -> None:
        """Name the extra."""
        raise RequestError("this server has no web page.", remedy=INSTALL, status=404, code="no_page")

    return router
