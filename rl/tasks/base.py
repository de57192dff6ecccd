"""A task with its ground truth, and what every source of tasks does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from graphs.episode import Task
from rl.rewards.base import Truth
from rl.tasks.geometry import UNITS
from tools.segmenters.base import Mask


@dataclass(frozen=True)
class TrainingTask:
    """One task of a data set; `masks(frame)` are the true masks there, boolean (height, width), original pixels.

    They are none where the frame does not show the target. `masks` itself is None if the data set has none at all:
    then answers are judged by their boxes. `units` are both sides of a frame in units of truth.
    """

    id: str
    task: Task
    truth: Truth
    masks: Callable[[int], tuple[Mask, ...]] | None
    ability: str = ""
    units: int = UNITS


class TaskSource(Protocol):
    """A data set of tasks; the same index is always the same task, whatever was asked before."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load one task; MediaError or InputError names the file that is missing or broken."""
        ...
