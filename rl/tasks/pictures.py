"""Data sets of pictures as training tasks: the true mask measured as one object.

Truth is in units of 0..1000 of the picture, far edges exclusive.
"""

from evals.datasets.base import Dataset
from rl.rewards.base import Truth
from rl.tasks.base import TrainingTask
from rl.tasks.geometry import frame_truths


class PictureTasks:
    """Make tasks of a data set whose samples are pictures with at most one mask.

    `steps_known` says that nothing has to be looked up, so that every search is a needless one.
    """

    def __init__(self, dataset: Dataset, *, steps_known: bool) -> None:
        self.name = dataset.name
        self._dataset, self._steps_known = dataset, steps_known

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load a task; IndexError beyond the last."""
        sample = self._dataset[index]
        truth = Truth(frame_truths(dict(enumerate(sample.masks(0)))), steps_known=self._steps_known)
        return TrainingTask(sample.id, sample.task, truth, sample.masks, sample.group)
