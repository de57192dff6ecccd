"""What kept samples from an answer, by class."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.benchmarks.base import Row


@dataclass(frozen=True)
class FailureClass:
    """A kind of failure: how many samples, their share of all, and the first of them, with what it told."""

    error: str
    count: int
    share: float
    example: Row

    @property
    def told(self) -> str:
        """The example's message; where there is none, the policy's last words."""
        return self.example.message or (self.example.said[-1] if self.example.said else "")


def group_failures(rows: Sequence[Row]) -> tuple[FailureClass, ...]:
    """Group rows without an answer by what kept it from coming, the most frequent first."""
    failed: dict[str, list[Row]] = {}
    for row in rows:
        if row.error:
            failed.setdefault(row.error, []).append(row)
    classes = [FailureClass(error, len(some), len(some) / len(rows), some[0]) for error, some in failed.items()]
    return tuple(sorted(classes, key=lambda one: (-one.count, one.error)))
