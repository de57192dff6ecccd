"""Put the page into the server; the only way from there to Gradio."""

from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from agent.page.login import login_routes
from agent.page.page import make_page
from agent.page.routes import media_routes
from agent.page.uploads import Uploads
from agent.server.runs import Runs
from agent.server.session import PAGE

_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%234f46e5'/%3E%3Ccircle cx='8' cy='8' r='3' fill='white'/%3E%3C/svg%3E"
)
_MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]


def mount_page(app: FastAPI, runs: Runs, uploads: Uploads) -> None:
    """Mount the page at `/ui` of `app`; what is dropped there goes to `uploads`.

    `app.state.leave_pages` is then what hangs up on open tabs, which hold a connection each.
    """
    app.include_router(media_routes(uploads, runs.settings.media))
    if runs.settings.key is not None:
        app.include_router(login_routes(runs.settings.key))
    gr.mount_gradio_app(
        app,
        make_page(runs, uploads),
        PAGE,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=_FONTS, font_mono=_MONO),
        head=f'<link rel="icon" href="{_ICON}">',
        css_paths=Path(__file__).parent / "style.css",
    )
    mounted: Any = next(route.app for route in app.routes if isinstance(route, Mount) and route.path == PAGE)
    app.state.leave_pages = mounted.stop_event.set
