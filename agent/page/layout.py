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
_READY = '<p class="hint">Ready when you are.</p>'
_STOPPED = '<p class="busy stopped" role="status">Stopped. Nothing runs any more.</p>'
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""For all events: the page shows its own progress, programs have `/v1`, and our gates say how much at once."""


def make_page(runs: Runs, uploads: Uploads) -> gr.Blocks:
    """Return the page; its runs go through `runs`, under the same limits as every other."""
    whole = runs.settings.key is None
    page: gr.Blocks
    with gr.Blocks(title="Segscout", analytics_enabled=False, fill_width=False) as page:
        chosen = gr.State(None)
        _html(_header(leave=runs.settings.key is not None), "masthead")
        with gr.Row(equal_height=False, elem_id="bench"):
            with gr.Column(scale=6, min_width=320, elem_id="left"):
                stage = _html(EMPTY, "stage", js_on_load=(_HERE / "stage.js").read_text(encoding="utf-8"))
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
                if not runs.agent.can_search:
                    _html(_BLIND, "hint")
                status = _html(_HINT, "status")
                steps = _html("", "steps")

        async def dropped(event: gr.EventData) -> tuple[Any, ...]:
            try:
                upload = uploads.find(str(event.id))
            except SegscoutError as error:
                return gr.skip(), *_failed(error)
            return gr.skip(), *_chosen(upload)

        async def taken(example: Example) -> tuple[Any, ...]:
            try:
                upload = await take_clip(uploads)
            except SegscoutError as error:
                return gr.skip(), *_failed(error)
            return example.query, *_chosen(upload)

        def _failed(error: SegscoutError) -> tuple[Any, ...]:
            return gr.skip(), gr.skip(), show_failure(error, whole=whole), gr.skip(), *_ready()

        async def asked(upload: Upload | None, text: str | None) -> AsyncGenerator[tuple[Any, ...]]:
            async for shown in ask(runs, uploads, upload, text or ""):
                yield _updates(shown)

        buttons = [find, stop]
        running = gr.on(
            [find.click, query.submit],
            asked,
            [chosen, query],
            [status, steps, stage, *buttons],
            trigger_mode="once",
            **_QUIET,
        )
        stop.click(lambda: (_STOPPED, *_ready()), None, [status, *buttons], cancels=[running], **_QUIET)
        # New media end the run on the old ones, so that no masks come to lie over the wrong picture.
        shown = [query, chosen, stage, status, steps, *buttons]
        stage.dropped(dropped, None, shown, cancels=[running], **_QUIET)
        for button, example in offered:
            button.click(partial(taken, example), None, shown, cancels=[running], **_QUIET)
    return page


def _examples(*, can_search: bool) -> list[tuple[gr.Button, Example]]:
    """Place a button for each example that can be answered."""
    with gr.Row(elem_id="examples"):
        _html("Or ask this of the example clip:", "offer")
        return [
            (gr.Button(one.query, variant="secondary", size="sm", elem_classes="example"), one)
            for one in EXAMPLES
            if can_search or not one.looked_up
        ]


def _html(content: str, name: str, **settings: Any) -> gr.HTML:
    """Place HTML that is made here, without Gradio's style of prose."""
    return gr.HTML(content, elem_id=name, apply_default_css=False, **settings)


def _updates(shown: Shown) -> tuple[Any, ...]:
    """Return what Gradio changes: a part that is None stays; the first and the last change the buttons, too."""
    parts = [gr.skip() if part is None else part for part in (shown.status, shown.steps, shown.stage)]
    return *parts, gr.Button(visible=shown.over), gr.Button(visible=not shown.over)


def _chosen(upload: Upload) -> tuple[Any, ...]:
    """Return what new media change: what is chosen, the stage, and nothing is left of the run before."""
    return upload, show_media(upload), _READY, "", *_ready()


def _ready() -> tuple[Any, ...]:
    return gr.Button(visible=True), gr.Button(visible=False)


def _header(*, leave: bool) -> str:
    out = f'<form method="post" action="..{LOGOUT}"><button>Log out</button></form>' if leave else ""
    return f"<header><h1>Segscout</h1><p>Describe it, and get its mask, with the evidence.</p>{out}</header>"
