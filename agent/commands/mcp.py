"""`segscout mcp`: the agent as tools, over standard input and output or on the loopback, until the client leaves."""

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commands.request import Request
from agent.commands.segment import make_agent
from agent.display import print_step
from agent.named_media import SENT_LIMITS
from agent.reporting import console_for, hush_loading
from agent.server.web_media import web_media
from tools.errors import InputError, boundary
from tools.settings import read_settings

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

_HERE = "127.0.0.1"


def check_mcp(media_root: Path | None, port: int | None) -> socket.socket | None:
    """Look at what can be wrong before anything is loaded, and open the socket for `port`, None for none.

    InputError if the extra is missing, the media root is no folder, or the port cannot be had.
    """
    if find_spec("mcp") is None:
        raise InputError("the tools need mcp.", remedy="Install the extra: pip install --editable '.[mcp]'.")
    if media_root is not None and not media_root.is_dir():
        raise InputError(f"the media root {media_root} is no folder.", remedy="Name a folder with --media-root.")
    if port is None:
        return None
    with boundary(InputError, f"cannot listen at port {port}", remedy="Choose another --http."):
        return socket.create_server((_HERE, port))


def run_mcp(request: Request, media_root: Path | None, sock: socket.socket | None, *, fetch: bool) -> None:
    """Load the agent and serve its tools; raises SegscoutError if a part cannot be loaded.

    Without a socket, standard output carries the protocol and nothing else; people read standard error.
    """
    from agent.mcp.media import MediaDoor
    from agent.mcp.server import make_server

    settings = read_settings()
    console = console_for(as_json=True)
    hush_loading(request.sam2_model or settings.sam2_model)
    agent = make_agent(request, settings)
    server = make_server(agent, MediaDoor(media_root, web_media(SENT_LIMITS) if fetch else None))
    where = f"at http://{_HERE}:{sock.getsockname()[1]}/mcp" if sock else "on standard input and output"
    print_step(console, "serve", f"tools for {agent.versions.policy} {where}", "green")
    if sock is None:
        server.run("stdio")
    else:
        serve_http(server, sock)


def serve_http(server: "MCPServer[None]", sock: socket.socket) -> None:
    """Serve on a socket of the loopback; requests that name another host, or come from pages of one, are refused."""
    import uvicorn

    app = server.streamable_http_app(host=_HERE)
    with sock:
        uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False)).run(sockets=[sock])
