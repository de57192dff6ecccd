"""One episode as training sees it, whether it was just rolled out or read back from a record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rl.stream import TokenStream
from tools.image_store import Image


@dataclass(frozen=True)
class TrainingRow:
    """A token stream, what it was worth, and its pictures.

    `picture` returns a picture of the stream by sha256, RGB uint8 (height, width, 3); `facts` are means to log by name.
    """

    stream: TokenStream
    reward: float
    components: Mapping[str, float]
    text: str
    picture: Callable[[str], Image]
    facts: Mapping[str, float]


class RowSource(Protocol):
    """Where a trainer gets its rows from."""

    def __len__(self) -> int:
        """Count the tasks."""
        ...

    def run(self, wanted: Sequence[tuple[int, int]]) -> list[TrainingRow | None]:
        """Return one row per (task index, seed); None where a part of the system broke."""
        ...
