"""What a run spreads over workers: numbered items, each of which becomes one row."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from tools.errors import SegscoutError

PlainRow = dict[str, Any]
"""What one item came to, as JSON holds it; `index` says which item."""
Play = Callable[[int], Awaitable[PlainRow]]
"""Does the work of one item; several are under way at once."""


class Work(Protocol):
    """A picklable description of work. Every worker opens it once, so that models are loaded once a worker."""

    async def open(self) -> Play:
        """Load what the work needs; raises SegscoutError where it cannot be had."""
        ...

    def failed(self, index: int, error: SegscoutError) -> PlainRow:
        """Return the row of an item that could not be done, such as one that ends every worker that tries."""
        ...


class Engine(Protocol):
    """Do work: in this process, or on many."""

    @property
    def name(self) -> str:
        """What to call the engine in reports."""
        ...

    def run(self, work: Work, items: Sequence[int]) -> AsyncIterator[PlainRow]:
        """Yield the row of each item as it is done, in any order; what is raised for an item ends the run.

        Without items no worker is started.
        """
        ...
