"""Ceilings of the benchmark: the oracle as a policy of the graph, and a segmenter that cuts exactly what is meant.

With both, what is lost is lost by search; with one of them, by the other part. They tell which part to mend.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from evals.emblems.clips import Clip
from evals.emblems.oracle import Oracle
from evals.emblems.tasks import EmblemTask
from evals.emblems.world import World
from evals.metrics.overlap import box_iou
from graphs.conversation import Turn
from graphs.policies.replay import ReplayPolicy
from tools.image_store import Image
from tools.media import sample_frames
from tools.segmenters.base import Frames, Prompt, Segment
from tools.segmenters.prompts import box_of

_NOBODY = 127
"""An object index that no clip has; cut out, it leaves an empty mask."""


def oracle_policy(
    task: EmblemTask, world: World, *, frames: int, search: bool = True, guess: int | None = None
) -> ReplayPolicy:
    """Return a policy that plays this one task perfectly, once; `frames` is how many frames the policy is shown.

    Without search it guesses mover `guess`, by default one that depends on the task alone.
    """
    movers = len(task.clip.movers)
    chosen = sum(map(ord, task.task_id)) % movers if guess is None else guess
    oracle = Oracle(task, world, sample_frames(len(task.clip), frames), search=search, guess=chosen)

    def play(turns: Sequence[Turn]) -> str:
        return oracle.turn(turns[-1].text)

    return ReplayPolicy(play, name="oracle")


class ExactSegmenter:
    """Cut the emblem whose true box fits the prompt's box best, exactly and in every frame; of this one clip only."""

    name = "exact"

    def __init__(self, clip: Clip) -> None:
        self._clip = clip

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Cut out of the clip's first frame: this is what an image, a clip of one frame, is asked for."""
        return self._cut(0, [self._meant(0, prompt) for prompt in prompts])

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Cut out of every frame, in order, the emblems that the prompts mean in `keyframe`."""
        movers = [self._meant(keyframe, prompt) for prompt in prompts]
        return ((frame, self._cut(frame, movers)) for frame in range(len(self._clip)))

    def _cut(self, frame: int, movers: Sequence[int | None]) -> list[Segment]:
        ids = self._clip.render(frame)[1]
        return [Segment(ids == (_NOBODY if mover is None else mover), 1.0) for mover in movers]

    def _meant(self, frame: int, prompt: Prompt) -> int | None:
        """Return the mover whose visible box overlaps the prompt's most, None if none does or there is no box."""
        if prompt.box is None:
            return None
        boxes = [box_of(self._clip.mask(frame, mover)) for mover in range(len(self._clip.movers))]
        overlaps = [box_iou(prompt.box, box) if box else 0.0 for box in boxes]
        best = int(np.argmax(overlaps))
        return best if overlaps[best] > 0 else None
