"""`segscout serve`: the agent behind a socket, until somebody stops it."""

import socket
from collections.abc import Callable
from dataclasses import replace

import uvicorn

from agent.commands.listening import Listening
from agent.commands.request import Request
from agent.commands.segment import make_agent
from agent.display import print_step
from agent.page.installed import INSTALL, has_page
from agent.reporting import console_for, hush_loading
from agent.server.app import make_app
from agent.server.session import PAGE
from agent.server.settings import ServerSettings
from agent.server.web_media import web_media
from graphs.profiles import profile_for
from tools.settings import read_settings

_PATIENCE_SECONDS = 10
"""How long runs may go on once the server is told to stop."""


def run_serve(listening: Listening, request: Request, *, fetch: bool, running: int, waiting: int) -> None:
    """Load the agent and serve it; raises SegscoutError if a part cannot be loaded."""
    settings = read_settings()
    console = console_for(as_json=False)
    hush_loading(request.sam2_model or settings.sam2_model)
    with listening.sock:
        print_step(console, "load", "policy and segmenter")
        agent = make_agent(request, settings)
        profile = profile_for(request.policy or settings.policy, request.profile or settings.profile)
        # A policy that was trained on the compact prompt has never seen what went before told in a query.
        recall = profile.prompt == "published"
        allowed = ServerSettings(key=listening.key, recall=recall, running=running, waiting=waiting, page=has_page())
        if fetch:
            allowed = replace(allowed, fetcher=web_media(allowed.media))
        app = make_app(agent, allowed)
        print_step(console, "serve", f"{listening.address}/v1, {agent.versions.policy}, {_who(listening)}", "green")
        print_step(console, "page", f"{listening.address}{PAGE}" if allowed.page else f"none. {INSTALL}")
        print_step(console, "", "stop with Ctrl-C")
        config = uvicorn.Config(app, timeout_graceful_shutdown=_PATIENCE_SECONDS, server_header=False)
        _Server(config, getattr(app.state, "leave_pages", lambda: None)).run(sockets=[listening.sock])


class _Server(uvicorn.Server):
    """Waits for runs that are under way when it is told to stop, and not for pages that only look on."""

    def __init__(self, config: uvicorn.Config, leave_pages: Callable[[], None]) -> None:
        super().__init__(config)
        self._leave_pages = leave_pages

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._leave_pages()
        await super().shutdown(sockets)


def _who(listening: Listening) -> str:
    return "for everyone with the key" if listening.key else "for this machine only"
