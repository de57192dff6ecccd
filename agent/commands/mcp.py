"""`segscout mcp`: the agent as tools, over standard input and output, until the client leaves."""

from importlib.util import find_spec
from pathlib import Path

from agent.commands.request import Request
from agent.commands.segment import make_agent
from agent.display import print_step
from agent.named_media import SENT_LIMITS
from agent.reporting import console_for, hush_loading
from agent.server.web_media import web_media
from tools.errors import InputError
from tools.settings import read_settings


def check_mcp(media_root: Path | None) -> None:
    """Look at what can be wrong before anything is loaded; InputError if the extra or the folder is missing."""
    if find_spec("mcp") is None:
        raise InputError("the tools need mcp.", remedy="Install the extra: pip install 'segscout[mcp]'.")
    if media_root is not None and not media_root.is_dir():
        raise InputError(f"the media root {media_root} is no folder.", remedy="Name a folder with --media-root.")


def run_mcp(request: Request, media_root: Path | None, *, fetch: bool) -> None:
    """Load the agent and serve its tools; raises SegscoutError if a part cannot be loaded.

    Standard output carries the protocol and nothing else; people read standard error.
    """
    from agent.mcp.media import MediaDoor
    from agent.mcp.server import make_server

    settings = read_settings()
    console = console_for(as_json=True)
    hush_loading(request.sam2_model or settings.sam2_model)
    agent = make_agent(request, settings)
    door = MediaDoor(media_root, web_media(SENT_LIMITS) if fetch else None)
    print_step(console, "serve", f"tools for {agent.versions.policy} on standard input and output", "green")
    make_server(agent, door).run("stdio")
