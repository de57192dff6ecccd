"""Progress bars on standard error: how far it is, how long it will take, and how it goes so far."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def success_bar(what: str, total: int) -> Iterator[Callable[[bool], None]]:
    """Count `total` things called `what`; call what is given for each, with whether it went right."""
    with _bar(what, total, 0, "success {:.0%}") as show:
        yield show


@contextmanager
def score_bar(what: str, total: int, done: int) -> Iterator[Callable[[float], None]]:
    """Count `total` things called `what`, `done` of them before; call what is given for each, with its score."""
    with _bar(what, total, done, "score {:.3f}") as show:
        yield show


@contextmanager
def found_bar(what: str, total: int, done: int) -> Iterator[Callable[[float], None]]:
    """Count `total` things called `what`, `done` of them before; call what is given for each, 1 if it was found."""
    with _bar(what, total, done, "found {:.0%}") as show:
        yield show


@contextmanager
def _bar(what: str, total: int, done: int, told: str) -> Iterator[Callable[[float], None]]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(what, total=total, completed=done)
        seen: list[float] = []

        def show(value: float) -> None:
            seen.append(value)
            progress.update(bar, advance=1, description=f"{what}, {told.format(sum(seen) / len(seen))}")

        yield show
