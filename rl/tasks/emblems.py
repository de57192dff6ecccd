"""Emblems as training tasks: drawn when asked for, as many as wanted, from one world that search can look up.

Truth is in units of 0..1000 of the frame, rounded as the oracle's answers are, so what supervised training taught and
what a reward asks for are the same numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from evals.emblems.benchmark import benchmark_world
from evals.emblems.clips import Clip
from evals.emblems.names import SPLITS, Split
from evals.emblems.oracle import box_of, inner_point
from evals.emblems.tasks import ABILITIES, Ability, EmblemTask, draw_task, shown_frames
from graphs.episode import Task
from rl.rewards.base import FrameTruth, ObjectTruth, Truth
from rl.tasks.base import TrainingTask
from rl.tasks.geometry import frame_truths, in_units
from tools.errors import InputError
from tools.image_store import Image
from tools.segmenters.base import Mask

MANY = 10_000
"""How many tasks there are if nobody says."""


class EmblemsSource:
    """Draw Emblems tasks: index i of (split, seed) is one task, whatever `n` is and whatever was drawn before.

    Without `weights` the abilities come in turn, and the tasks are those of `evals.emblems.benchmark.make_tasks`. With
    weights (ability → share, of any sum) each task's ability is drawn. `frames` is how many the policy is shown. Search
    must know `world`. InputError for a bad split, seed, number or weight.
    """

    name = "emblems"

    def __init__(
        self,
        split: Split = "train",
        seed: int = 0,
        n: int = MANY,
        *,
        frames: int = 4,
        weights: Mapping[Ability, float] | None = None,
    ) -> None:
        if n < 1:
            raise InputError(f"{n} tasks cannot be drawn.", remedy="Ask for at least 1.")
        self.world = benchmark_world(split, seed)
        self.split, self.seed, self.frames = split, seed, frames
        self._count = n
        self._shares = None if weights is None else _shares(weights)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Draw a task with its truth on the frames shown; IndexError beyond the last."""
        task = self.draw(index)
        drawn, target = DrawnClip(task.clip), task.target

        def seen(frames: Iterable[int]) -> dict[int, FrameTruth]:
            masks = {} if target is None else {frame: drawn.mask(frame, target) for frame in frames}
            return frame_truths(masks, _as_answered)

        # Few frames may all hide a target, which is not to be taken for absent: then truth is of all that show it.
        frames = seen(shown_frames(len(drawn), self.frames)) or seen(range(len(drawn)))
        truth = Truth(frames, expert_steps(task))
        return TrainingTask(task.task_id, Task(task.query, drawn), truth, partial(_masks, drawn, target), task.ability)

    def draw(self, index: int) -> EmblemTask:
        """Draw the task itself, which the oracle and the evaluation's scores need."""
        index = range(len(self))[index]
        key = SPLITS.index(self.split), self.seed, index
        ability = ABILITIES[index % len(ABILITIES)]
        if self._shares is not None:
            ability = ABILITIES[int(np.random.default_rng((*key, 3)).choice(len(ABILITIES), p=self._shares))]
        rng = np.random.default_rng((*key, 2))
        return draw_task(rng, self.world, ability, f"{self.split}-{self.seed}-{index:05d}")


@dataclass(frozen=True)
class DrawnClip:
    """A clip whose frames are RGB uint8 (448, 448, 3), each drawn when it is first asked for, and then kept.

    The episodes of a group may read it from many threads at once, which a `Clip` does not allow.
    """

    clip: Clip
    _drawn: dict[int, Image] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: int, /) -> Image:
        frame = self._drawn.get(index)
        if frame is None:
            frame = self.clip.again()[index]
            frame.flags.writeable = False
            self._drawn[index] = frame
        return frame

    def mask(self, frame: int, mover: int) -> Mask:
        """Return the exact visible mask of a mover, boolean (448, 448)."""
        return self.clip.again().mask(frame, mover)


def expert_steps(task: EmblemTask) -> tuple[str, ...]:
    """Return the words of the oracle's searches, in order; a picture is searched with the words that came before it."""
    if task.team is None:
        return ()
    question = f"emblem of the {task.team.name}"
    bridge = (task.bridge.description,) if task.bridge else ()
    return (*bridge, question, question) if task.team.pictured else (*bridge, question)


def _as_answered(mask: Mask) -> ObjectTruth:
    return in_units(box_of(mask), inner_point(mask))


def _masks(clip: DrawnClip, target: int | None, frame: int) -> tuple[Mask, ...]:
    mask = None if target is None else clip.mask(frame, target)
    return (mask,) if mask is not None and mask.any() else ()


def _shares(weights: Mapping[Ability, float]) -> list[float]:
    total = sum(weights.values())
    if not set(weights) <= set(ABILITIES) or min(weights.values(), default=0) < 0 or not 0 < total < np.inf:
        raise InputError(
            f"the weights {dict(weights)} cannot be drawn by.",
            remedy=f"Give some of {', '.join(ABILITIES)} with 0 or more each, not all 0.",
        )
    return [weights.get(ability, 0.0) / total for ability in ABILITIES]
