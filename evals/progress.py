"""A progress bar on standard error: how far it is, how long it will take, and how it goes so far."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def success_bar(what: str, total: int) -> Iterator[Callable[[bool], None]]:
    """Count `total` things called `what`; call what is given for each, with whether it went right."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(what, total=total)
        seen: list[bool] = []

        def show(right: bool) -> None:
            seen.append(right)
            progress.update(bar, advance=1, description=f"success {sum(seen) / len(seen):.0%}")

        yield show
