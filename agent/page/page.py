"""The page itself, in Gradio: what happens when somebody touches its parts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import gradio as gr

from agent.page.asking import Pending, Shown, ask
from agent.page.examples import Example, take_clip
from agent.page.follow import Stop
from agent.page.layout import Parts, place_parts
from agent.page.stage import show_media
from agent.page.uploads import Upload, Uploads
from agent.page.verdict import show_failure
from agent.server.runs import Runs
from tools.errors import SegscoutError

_READY = '<p class="hint">Ready when you are.</p>'
_PATIENCE_SECONDS = 10.0
"""For a run to end that is stopped; it takes milliseconds."""
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
"""For all events: the page shows its own progress, programs have `/v1`, and our gates say how much at once."""


def make_page(runs: Runs, uploads: Uploads) -> gr.Blocks:
    """Return the page; its runs go through `runs`, under the same limits as every other."""
    page: gr.Blocks
    with gr.Blocks(title="Segscout", analytics_enabled=False, fill_width=False) as page:
        has_key = runs.settings.key is not None
        _connect(place_parts(can_search=runs.agent.can_search, can_leave=has_key), Handlers(runs, uploads))
    return page


class Handlers:
    """Answer what people do; each returns what its outputs in `_connect` change to.

    Runs are ended here and not by Gradio, which cancels them only after its answer to the click: what they tell until
    then would undo that answer, such as the buttons' return.
    """

    def __init__(self, runs: Runs, uploads: Uploads) -> None:
        self._runs, self._uploads = runs, uploads
        self._stops: dict[str | None, Stop] = {}

    async def dropped(self, event: gr.EventData, tab: gr.Request) -> tuple[Any, ...]:
        """Show what the stage's script has sent."""
        await self.stop(tab)
        try:
            return gr.skip(), *_chosen(self._uploads.find(str(event.id)))
        except SegscoutError as error:
            return self._failed(error)

    def taking(self, example: Example) -> Callable[[gr.Request], Awaitable[tuple[Any, ...]]]:
        """Return what shows the example clip and its question."""

        async def taken(tab: gr.Request) -> tuple[Any, ...]:
            await self.stop(tab)
            try:
                return example.query, *_chosen(await take_clip(self._uploads))
            except SegscoutError as error:
                return self._failed(error)

        return taken

    async def asked(
        self, upload: Upload | None, query: str | None, pending: Pending | None, tab: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...]]:
        """Show a run while it goes on."""
        stop = self._stops[tab.session_hash] = Stop()
        try:
            async with aclosing(ask(self._runs, self._uploads, upload, query or "", stop, pending)) as parts:
                async for shown in parts:
                    yield _updates(shown)
        finally:
            stop.told.set()
            self._stops.pop(tab.session_hash, None)

    async def stop(self, tab: gr.Request) -> None:
        """End the run of this tab, if there is one, and wait until it has said so on the page."""
        stop = self._stops.get(tab.session_hash)
        if stop is not None:
            stop.pull()
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await stop.told.wait()

    def _failed(self, error: SegscoutError) -> tuple[Any, ...]:
        told = show_failure(error, whole=self._runs.settings.key is None)
        return gr.skip(), gr.skip(), gr.skip(), told, gr.skip(), *_ready()


def _connect(parts: Parts, handlers: Handlers) -> None:
    """Tie the parts to what answers them."""
    buttons = [parts.find, parts.stop]
    gr.on(
        [parts.find.click, parts.query.submit],
        handlers.asked,
        [parts.chosen, parts.query, parts.pending],
        [parts.status, parts.steps, parts.stage, parts.pending, *buttons],
        trigger_mode="once",
        **_QUIET,
    )
    parts.stop.click(handlers.stop, None, None, **_QUIET)
    # New media end the run on the old ones, so that no masks come to lie over the wrong picture.
    shown = [parts.query, parts.chosen, parts.stage, parts.status, parts.steps, *buttons]
    parts.stage.dropped(handlers.dropped, None, shown, **_QUIET)
    for button, example in parts.examples:
        button.click(handlers.taking(example), None, shown, **_QUIET)


def _updates(shown: Shown) -> tuple[Any, ...]:
    """Return what Gradio changes while a run goes on: a part that is None stays as it is."""
    parts = [gr.skip() if part is None else part for part in (shown.status, shown.steps, shown.stage)]
    pending = shown.pending if shown.over else gr.skip()
    return *parts, pending, gr.Button(visible=shown.over), gr.Button(visible=not shown.over)


def _chosen(upload: Upload) -> tuple[Any, ...]:
    """Return what new media change: what is chosen, the stage, and nothing is left of the run before."""
    return upload, show_media(upload), _READY, "", *_ready()


def _ready() -> tuple[Any, ...]:
    return gr.Button(visible=True), gr.Button(visible=False)
