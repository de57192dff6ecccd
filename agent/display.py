"""Show an episode in the terminal, step by step as it happens.

Everything that a policy or a source wrote is shown as plain text: without control characters, and never as markup.
"""

import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from agent.wording import FATES, TOLD_FRAMES, place_of, thought_of
from graphs.events import (
    Answered,
    Event,
    FoundHit,
    KeyframeShown,
    MasksCut,
    Question,
    Repaired,
    SearchFinished,
    SearchStarted,
    TurnSampled,
)

_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_CHARS = 360
_STEP_CHARS = 8


def plain(text: str, limit: int = _CHARS) -> str:
    """Return foreign text on one line, without anything that a terminal would obey, cut to `limit` characters."""
    line = " ".join(text[: limit * 8].split())
    shown = "".join(char for char in line if unicodedata.category(char) not in _UNSHOWABLE)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def print_step(console: Console, step: str, text: str | Text, style: str = "cyan") -> None:
    """Print the name of a step and what it brought, in two columns; neither is read as markup."""
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_STEP_CHARS, justify="right", style=f"bold {style}", no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(Text(step), text if isinstance(text, Text) else Text(text))
    console.print(line)


class EpisodeDisplay:
    """Print each event of an episode; on a terminal, a spinner while the policy thinks and a bar while masks are cut.

    A context manager, because the bar must be taken down whatever happens.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._node = "plan"

    def __enter__(self) -> Self:
        self._progress.start()
        self._await("getting ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event; what has nothing to show for itself is passed over."""
        match event:
            case TurnSampled():
                self._turn(event)
            case SearchStarted():
                self._line("search", f"{event.tool.removesuffix('_search')}: {plain(event.query)}")
                self._await("searching")
            case SearchFinished():
                self._found(event)
                self._await("thinking")
            case KeyframeShown():
                self._line("look", f"frame {event.frame}, in high resolution")
                self._await("thinking")
            case Repaired():
                self._line("repair", plain(f"{event.reason}: {event.hint}"), "yellow")
            case Question():
                self._line("ask", f"which one? {event.answers} answers disagree", "yellow")
                for choice in event.choices:
                    print_step(self._console, str(choice.number), place_of(choice))
            case Answered():
                self._line("answer", _answer(event), "green")
            case MasksCut():
                self._masks(event)

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar for other work, and yield what moves it: a call with the number done and the number in all."""
        self._await(what)
        yield lambda done, total: self._move(what, done, total)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar down while somebody types."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _turn(self, event: TurnSampled) -> None:
        self._line(event.node, f"{plain(thought_of(event)) or '…'}  ({event.seconds:.1f} s)")

    def _found(self, event: SearchFinished) -> None:
        if event.error:
            self._note(plain(event.error), "red")
        elif event.fate in FATES:
            self._note(FATES[event.fate], "yellow")
        elif not event.hits:
            self._note("nothing was found", "yellow")
        for hit in event.hits if not event.error else ():
            print_step(self._console, "", _hit(hit))

    def _masks(self, event: MasksCut) -> None:
        self._move("cutting masks", event.done, event.total)
        if event.done == event.total:
            frames = "1 frame" if event.total == 1 else f"{event.total} frames"
            self._line("masks", f"cut in {frames}", "green")
        elif not self._console.is_terminal and event.done % TOLD_FRAMES == 0:
            self._line("masks", f"{event.done} of {event.total} frames")

    def _line(self, step: str, text: str, style: str = "cyan") -> None:
        print_step(self._console, step, text, style)

    def _note(self, text: str, style: str) -> None:
        print_step(self._console, "", Text(text, style=style))

    def _await(self, what: str) -> None:
        """Show a bar that only says that something goes on."""
        self._start(what, None)

    def _move(self, what: str, done: int, total: int) -> None:
        if self._task is None or self._progress.tasks[-1].description != what or self._progress.tasks[-1].total is None:
            self._start(what, total)
        assert self._task is not None
        self._progress.update(self._task, completed=done)

    def _start(self, what: str, total: int | None) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total)


def _hit(hit: FoundHit) -> Text:
    line = Text().append(plain(hit.title, 120), style="bold")
    if hit.snippet:
        line.append(f"  {plain(hit.snippet, 240)}")
    return line.append(f"  [{plain(hit.source, 200)}]", style="dim")


def _answer(event: Answered) -> str:
    if event.absent:
        return "it is not there"
    boxes = [f"({', '.join(f'{value:.0f}' for value in box)})" if box else "by its points" for box in event.boxes]
    return f"frame {event.keyframe}: {' '.join(boxes)}"
