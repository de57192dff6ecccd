"""The page itself, in Gradio: its parts, where they stand, and what happens when somebody touches them."""

from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from agent.page.asking import Shown, ask
from agent.page.examples import EXAMPLES, Example, take_clip
from agent.page.login import LOGOUT
from agent.page.stage import EMPTY, show_media
from agent.page.uploads import Upload, Uploads
from agent.page.verdict import show_failure
from agent.server.runs import Runs
from graphs.episode import MAX_QUERY_CHARS
from tools.errors import SegscoutError

_HERE = Path(__file__).parent
_HINT = (
    '<p class="hint">Say what to find. What must be known for it is looked up first; the steps and the sources appear '
    "here as it happens.</p>"
)
_BLIND = (
    '<p class="hint">There is nothing here to look things up in: start the server with <code>--kb FOLDER</code> or '
    "<code>--search</code>.</p>"
)
_STOPPED = '<p class="busy stopped" role="status">Stopped. Nothing runs any more.</p>'
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""For all events: the page shows its own progress, and programs have `/v1`."""


def make_page(runs: Runs, uploads: Uploads) -> gr.Blocks:
    """Return the page; its runs go through `runs`, under the same limits as every other."""
    whole = runs.settings.key is None
    with gr.Blocks(title="Segscout", analytics_enabled=False, fill_width=False) as page:
        chosen = gr.State(None)
        gr.HTML(_header(leave=runs.settings.key is not None), elem_id="masthead")
        with gr.Row(equal_height=False, elem_id="bench"):
            with gr.Column(scale=6, min_width=320, elem_id="left"):
                stage = gr.HTML(EMPTY, js_on_load=(_HERE / "stage.js").read_text(encoding="utf-8"), elem_id="stage")
            with gr.Column(scale=5, min_width=320, elem_id="right"):
                query = gr.Textbox(
                    label="What shall be found?",
                    placeholder="the goalkeeper who joined in 2025",
                    max_lines=4,
                    max_length=MAX_QUERY_CHARS,
                    elem_id="query",
                )
                with gr.Row(elem_id="buttons"):
                    find = gr.Button("Find it", variant="primary", elem_id="find")
                    stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
                offered = _examples(can_search=runs.agent.can_search)
                status = gr.HTML(_HINT + ("" if runs.agent.can_search else _BLIND), elem_id="status")
                steps = gr.HTML("", elem_id="steps")

        async def dropped(event: gr.EventData) -> tuple[Any, ...]:
            try:
                upload = uploads.find(str(event.id))
            except SegscoutError as error:
                return gr.skip(), gr.skip(), show_failure(error, whole=whole)
            return upload, show_media(upload), gr.skip()

        async def taken(example: Example) -> tuple[Any, ...]:
            try:
                upload = await take_clip(uploads)
            except SegscoutError as error:
                return gr.skip(), gr.skip(), gr.skip(), show_failure(error, whole=whole)
            return upload, show_media(upload), example.query, gr.skip()

        async def asked(upload: Upload | None, text: str | None) -> AsyncGenerator[tuple[Any, ...]]:
            async for shown in ask(runs, uploads, upload, text or ""):
                yield _updates(shown)

        stage.dropped(dropped, None, [chosen, stage, status], **_QUIET)
        for button, example in offered:
            button.click(partial(taken, example), None, [chosen, stage, query, status], **_QUIET)
        running = gr.on(
            [find.click, query.submit],
            asked,
            [chosen, query],
            [status, steps, stage, find, stop],
            concurrency_limit=None,  # the gate of all runs decides
            trigger_mode="once",
            **_QUIET,
        )
        stop.click(_stopped, None, [status, find, stop], cancels=[running], queue=False, **_QUIET)
    return page


def _examples(*, can_search: bool) -> list[tuple[gr.Button, Example]]:
    """Place a button for each example that can be answered."""
    with gr.Row(elem_id="examples"):
        gr.HTML("<span>Or try the example clip:</span>")
        return [
            (gr.Button(one.query, variant="secondary", size="sm", elem_classes="example"), one)
            for one in EXAMPLES
            if can_search or not one.looked_up
        ]


def _updates(shown: Shown) -> tuple[Any, ...]:
    """Return what Gradio changes: a part that is None stays; the first and the last change the buttons, too."""
    parts = [gr.skip() if part is None else part for part in (shown.status, shown.steps, shown.stage)]
    return *parts, gr.Button(visible=shown.over), gr.Button(visible=not shown.over)


def _stopped() -> tuple[Any, ...]:
    return _STOPPED, gr.Button(visible=True), gr.Button(visible=False)


def _header(*, leave: bool) -> str:
    out = f'<form method="post" action="..{LOGOUT}"><button>Log out</button></form>' if leave else ""
    return f"<header><h1>Segscout</h1><p>Describe it, and get its mask, with the evidence.</p>{out}</header>"
