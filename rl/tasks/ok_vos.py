"""OK-VOS as training tasks: `evals.datasets.ok_vos` with the truth that Seg-ReSearch's rewards compare with.

Truth is as published: units of 0..1000 of the frame, indices of pixels (a box's far ends inclusive), only of the frames
shown. Two published choices were left out: an anchor frame that no seed decides, and points on the frame's edge, which
`published_points` brings back.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from evals.datasets.ok_vos import OKVOS
from evals.datasets.ok_vos_clips import ObjectClip
from rl.rewards.base import FrameTruth, Truth
from rl.tasks.base import TrainingTask
from rl.tasks.geometry import frame_truths, pixel_truth
from tools.errors import InputError
from tools.media import sample_frames


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
        self._videos = OKVOS(data, split, n)
        self.split, self.seed, self.frames = split, seed, frames
        self.clip = clip or ("shown" if split == "train" else "whole")
        self._measure = partial(pixel_truth, padded=not published_points)

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load a task; IndexError beyond the last."""
        index = range(len(self))[index]
        video = self._videos.clip(index)
        if self.clip == "shown":
            video = video.only(self._shown(video, index))
        marked = range(len(video)) if self.clip == "shown" else sample_frames(len(video), self.frames)
        steps, sample = self._videos.steps(index), self._videos.sample(index, video)
        # Only training rows have steps; of the rest it is known for "in-video" alone that there is nothing to look up.
        known = bool(steps) or sample.group == "in-video"
        # Sampling may miss a target, which is not to be taken for absent: then truth is of all frames that show it.
        frames = self._seen(video, marked) or self._seen(video, range(len(video)))
        return TrainingTask(sample.id, sample.task, Truth(frames, steps, steps_known=known), video.masks, sample.group)

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
