"""OK-VOS, the data set of Seg-ReSearch (iSEE-Laboratory, arXiv 2602.04454), in its published layout.

    DATA/<split>.parquet                                question, images[], ability, video, oid; perhaps id, steps
    DATA/<split>/JPEGImages/<video>/<stem>.jpg          frames
    DATA/<split>/Annotations/<video>/<oid>/<stem>.png   masks; the target is what is exactly 255

Truth is as published: units of 0..1000 of the frame, indices of pixels (a box's far ends inclusive), only of the frames
shown. Two published choices were left out: an anchor frame that no seed decides, and points on the frame's edge, which
`published_points` brings back.
"""

import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from graphs.episode import Task
from rl.rewards.base import FrameTruth, Truth
from rl.tasks.base import TrainingTask
from rl.tasks.geometry import frame_truths, pixel_truth
from rl.tasks.ok_vos_clips import LAYOUT, ObjectClip
from rl.tasks.parquet import ParquetRows, at_most, find_parquet
from tools.errors import InputError
from tools.media import sample_frames

_COLUMNS = ("question", "images", "ability", "video", "oid")
_QUESTION = re.compile(r"(?P<context>.*?)\s*Please find '(?P<sought>.+)' in the provided video\.?\s*", re.DOTALL)


class OKVOSSource:
    """Read OK-VOS tasks; frames and masks are decoded when they are looked at.

    `clip` decides what an episode is given. "shown": a clip of just the `frames` frames that a policy is shown, chosen
    as published: evenly, rounded down; in training a frame that shows the target, drawn by `seed` and index, takes the
    place of the nearest. "whole": the whole video, with truth on the frames that the graph will show, for scores
    through the clip. By default the first in training, the second otherwise. Truth and masks count the clip's frames.
    InputError names a missing file, MediaError a broken one.
    """

    name = "ok-vos"

    def __init__(
        self,
        data: Path,
        split: str = "train",
        seed: int = 0,
        n: int | None = None,
        *,
        frames: int = 6,
        clip: Literal["shown", "whole"] | None = None,
        published_points: bool = False,
    ) -> None:
        if frames < 1:
            raise InputError(f"{frames} frames show nothing.", remedy="Show at least 1.")
        if seed < 0:
            raise InputError(f"the seed {seed} is negative.", remedy="Choose 0 or more.")
        self._rows = ParquetRows(find_parquet(data, split, LAYOUT), _COLUMNS, LAYOUT)
        self._folder = (data.parent if data.is_file() else data) / split
        self.split, self.seed, self.frames = split, seed, frames
        self.clip = clip or ("shown" if split == "train" else "whole")
        self._count = at_most(len(self._rows), n)
        self._measure = partial(pixel_truth, padded=not published_points)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load a task; IndexError beyond the last."""
        index = range(len(self))[index]
        row = self._rows.row(index, (*_COLUMNS, "id", "steps"))
        stems = sorted(str(stem).removesuffix(".jpg") for stem in row["images"])
        video = ObjectClip(self._folder, str(row["video"]), str(row["oid"]), tuple(stems))
        if self.clip == "shown":
            video = video.only(self._shown(video, index))
        marked = range(len(video)) if self.clip == "shown" else sample_frames(len(video), self.frames)
        steps, ability = _steps(row["steps"]), str(row["ability"])
        # Only training rows have steps; of the rest it is known for "in-video" alone that there is nothing to look up.
        known = bool(steps) or ability == "in-video"
        # Sampling may miss a target, which is not to be taken for absent: then truth is of all frames that show it.
        frames = self._seen(video, marked) or self._seen(video, range(len(video)))
        truth = Truth(frames, steps, steps_known=known)
        name = str(index if row["id"] is None else row["id"])
        task = Task(plain_query(row["question"]), video.frames())
        return TrainingTask(name, task, truth, video.masks, ability)

    def _seen(self, video: ObjectClip, places: Iterable[int]) -> dict[int, FrameTruth]:
        return frame_truths({place: video.mask(place) for place in places}, self._measure)

    def _shown(self, video: ObjectClip, index: int) -> list[int]:
        """Choose the frames to show; in training one of them shows the target, if any does."""
        if self.frames >= len(video):
            return list(range(len(video)))
        chosen = [int(place) for place in np.linspace(0, len(video) - 1, self.frames)]
        if self.split == "train" and self.frames > 1:
            order = np.random.default_rng((self.seed, index)).permutation(len(video)).tolist()
            # The first of a random order that shows the target is as random as a choice among all, and reads few masks.
            anchor = next((place for place in order if video.mask(place).any()), None)
            if anchor is not None:
                chosen[int(np.argmin([abs(place - anchor) for place in chosen]))] = anchor
        return sorted(chosen)


def plain_query(question: str) -> str:
    """Take a published question out of its wrapping, which dialects add again; a sentence of context before it stays.

    "It rained. Please find 'the dog' in the provided video." → "It rained. the dog"; anything else is left as it is.
    """
    match = _QUESTION.fullmatch(question)
    return f"{match['context']} {match['sought']}".strip() if match else question.strip()


def _steps(steps: str | Sequence[str] | None) -> tuple[str, ...]:
    return (steps,) if isinstance(steps, str) else tuple(str(step) for step in steps or ())
