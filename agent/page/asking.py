"""One question asked on the page: what each part of it shows while the run goes on, and when it is over."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from time import monotonic

from agent.page.follow import Sign, Stop, follow
from agent.page.stage import show_masks
from agent.page.steps import show_steps
from agent.page.uploads import Upload, Uploads
from agent.page.verdict import show_failure, show_progress, show_verdict
from agent.result import Step
from agent.server.clarification import read_number
from agent.server.errors import log_error
from agent.server.runs import Finished, Runs
from graphs.episode import MAX_QUERY_CHARS
from graphs.events import Answered, Event, MasksCut, SearchFinished, SearchStarted
from tools.errors import InputError, SegscoutError, boundary

_STOPPED = '<p class="busy stopped" role="status">Stopped. Nothing runs any more.</p>'
_MASKS_SECONDS = 0.25
"""Between two signs of the masks' progress: a long clip has thousands of frames."""


@dataclass(frozen=True)
class Pending:
    """A run that asked which one is meant: its thread, what it was asked to find, and in which upload."""

    thread_id: str
    query: str
    upload_id: str


@dataclass(frozen=True)
class Shown:
    """The HTML of the page's parts; None leaves a part as it is."""

    status: str | None = None
    steps: str | None = None
    stage: str | None = None
    over: bool = False
    """Whether this is the last of a run."""
    pending: Pending | None = None
    """The run that now waits for an answer."""


async def ask(
    runs: Runs, uploads: Uploads, upload: Upload | None, query: str, stop: Stop, pending: Pending | None = None
) -> AsyncGenerator[Shown]:
    """Yield what the page shows, from the first sign of life to the verdict or the failure; raises nothing of ours.

    A query that is the number of a choice answers the `pending` run, if that is about the same upload. `stop` ends it.
    """
    try:
        with boundary(SegscoutError, "the page could not be drawn", remedy="Report it."):
            async with aclosing(_run(runs, uploads, _checked(upload), query.strip(), stop, pending)) as parts:
                async for part in parts:
                    yield part
    except SegscoutError as error:
        log_error(error)
        # Without a key only the one who runs the server can be there.
        yield Shown(status=show_failure(error, whole=runs.settings.key is None), over=True)


def _checked(upload: Upload | None) -> Upload:
    if upload is None:
        raise InputError("there is nothing to look at.", remedy="Drop a picture or a clip, or take an example.")
    return upload


async def _run(
    runs: Runs, uploads: Uploads, upload: Upload, query: str, stop: Stop, pending: Pending | None
) -> AsyncGenerator[Shown]:
    if not 0 < len(query) <= MAX_QUERY_CHARS:
        slip = "nothing is asked." if not query else f"the question has more than {MAX_QUERY_CHARS} characters."
        raise InputError(slip, remedy="Say in a few words what to find.")
    start, told, doing = monotonic(), 0.0, "Waiting for its turn"
    steps: list[Step] = []
    yield Shown(status=show_progress(doing, 0), steps="")
    opener, thread_id = partial(uploads.open, upload.id), None
    choice = read_number(query) if pending is not None and pending.upload_id == upload.id else None
    if pending is not None and choice is not None:
        query, thread_id = pending.query, pending.thread_id
    async with aclosing(follow(runs, query, opener, stop, thread_id, choice)) as items:
        async for item in items:
            after = monotonic() - start
            if isinstance(item, Finished):
                yield _end(item, upload, query)
            elif item is Sign.STOPPED:
                yield Shown(_STOPPED, over=True, pending=pending)
            elif isinstance(item, Sign):
                doing = "Thinking" if item is Sign.BEGUN else doing
                yield Shown(show_progress(doing, after))
            else:
                _add(steps, Step(round(after, 4), item))
                doing = _next(item)
                if not isinstance(item, MasksCut) or item.done == item.total or after > told + _MASKS_SECONDS:
                    told = after
                    yield Shown(show_progress(doing, after), show_steps(steps))


def _end(finished: Finished, upload: Upload, query: str) -> Shown:
    """Return what is shown at the end: the masks, or the question that they depend on."""
    result = finished.result
    if result.question is None or result.thread_id is None:
        return Shown(show_verdict(finished), stage=show_masks(upload, finished), over=True)
    return Shown(show_verdict(finished), over=True, pending=Pending(result.thread_id, query, upload.id))


def _add(steps: list[Step], step: Step) -> None:
    """Add a step; of the masks, which come frame by frame, only the last is kept."""
    if isinstance(step.event, MasksCut) and steps and isinstance(steps[-1].event, MasksCut):
        steps.pop()
    steps.append(step)


def _next(event: Event) -> str:
    """Return what is likely under way after an event."""
    match event:
        case SearchStarted():
            return "Searching"
        case SearchFinished():
            return "Reading"
        case Answered():
            return "Cutting out"
        case MasksCut():
            return "Drawing" if event.done == event.total else "Cutting out"
    return "Thinking"
