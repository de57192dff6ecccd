"""The parts of the page, and where they stand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from agent.page.examples import EXAMPLES, Example
from agent.page.login import LOGOUT
from agent.page.stage import EMPTY
from graphs.episode import MAX_QUERY_CHARS

_STAGE_SCRIPT = (Path(__file__).parent / "stage.js").read_text(encoding="utf-8")
_HINT = (
    '<p class="hint">Say what to find. What must be known for it is looked up first; the steps and the sources appear '
    "here as it happens.</p>"
)
_BLIND = (
    '<p class="hint">There is nothing here to look things up in: start the server with <code>--kb FOLDER</code> or '
    "<code>--search</code>.</p>"
)


@dataclass(frozen=True)
class Parts:
    """What people touch and what changes.

    `chosen` holds the upload on the stage, `pending` the run that waits for an answer.
    """

    chosen: gr.State
    pending: gr.State
    stage: gr.HTML
    query: gr.Textbox
    find: gr.Button
    stop: gr.Button
    examples: list[tuple[gr.Button, Example]]
    status: gr.HTML
    steps: gr.HTML


def place_parts(*, can_search: bool, can_leave: bool) -> Parts:
    """Place all parts in the open Blocks: the stage, and beside it (on a phone below it) the question and its steps."""
    chosen, pending = gr.State(None), gr.State(None)
    _html(_header(can_leave=can_leave), "masthead")
    with gr.Row(equal_height=False, elem_id="bench"):
        with gr.Column(scale=6, min_width=320, elem_id="left"):
            stage = _html(EMPTY, "stage", js_on_load=_STAGE_SCRIPT)
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
            examples = _examples(can_search=can_search)
            if not can_search:
                _html(_BLIND, "hint")
            status, steps = _html(_HINT, "status"), _html("", "steps")
    return Parts(chosen, pending, stage, query, find, stop, examples, status, steps)


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


def _header(*, can_leave: bool) -> str:
    out = f'<form method="post" action="..{LOGOUT}"><button>Log out</button></form>' if can_leave else ""
    return f"<header><h1>Segscout</h1><p>Describe it, and get its mask, with the evidence.</p>{out}</header>"
