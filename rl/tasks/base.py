"""A task with its ground truth, and what every source of tasks does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from graphs.episode import Task
from rl.rewards.base import Truth
from tools.segmenters.base import Mask


@dataclass(frozen=True)
class TrainingTask:
    """One task of a data set; `masks(frame)` are the true masks there, boolean (height, width), original pixels."""

    id: str
    task: Task
    truth: Truth
    masks: Callable[[int], tuple[Mask, ...]]
    ability: str = ""


class TaskSource(Protocol):
    """A data set of tasks; the same index is always the same task, whatever was asked before."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load one task; MediaError or InputError names the file that is missing or broken."""
        ...
