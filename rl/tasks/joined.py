"""Several sources as one: Seg-R1 learns on COD10K and CAMO together."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from rl.tasks.base import TaskSource, TrainingTask


class JoinedSource:
    """The tasks of one source after those of another."""

    def __init__(self, sources: Sequence[TaskSource]) -> None:
        self._sources = tuple(sources)
        self._starts = [0, *accumulate(len(source) for source in sources)]
        self.name = " and ".join(source.name for source in sources)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load a task; IndexError beyond the last."""
        index = range(len(self))[index]
        which = bisect_right(self._starts, index) - 1
        return self._sources[which][index - self._starts[which]]
