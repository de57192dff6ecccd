"""Measure any `Segmenter` through clips: J&F of one object per clip, from its box on one keyframe.

`python -m evals.propagation --n 100 --seed 7 --sam2 FOLDER` prints one JSON object. The clips are those of Emblems:
objects move, turn, and hide one another; the emblems and backgrounds are those that training also draws from.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evals.emblems.clips import FRAMES, Clip
from evals.emblems.oracle import clearest_frame
from evals.emblems.sprites import SHAPES
from evals.emblems.tasks import shown_frames
from evals.metrics.clips import ClipScore, score_clip
from evals.segmenters import LEAST_SHARE, compare, draw_clip, jittered, mean_line, whole_area
from tools.segmenters.base import Box, Prompt, Segmenter
from tools.segmenters.prompts import box_of


@dataclass(frozen=True)
class ClipCase:
    """One object to follow: the clip, which mover, the keyframe, and the prompt box there, in pixels."""

    clip: Clip
    mover: int
    keyframe: int
    box: Box
    kind: str


def clip_cases(count: int, *, seed: int, jitter: float, frames: int = FRAMES) -> Iterator[ClipCase]:
    """Draw `count` clips, the shapes in turn; the keyframe is the clearest that the policy would be shown."""
    rng = np.random.default_rng((0xC11B, seed))
    number = 0
    while number < count:
        wanted = SHAPES[number % len(SHAPES)]
        clip, mover = draw_clip(rng, wanted, frames)
        keyframe = clearest_frame(clip, shown_frames(frames), mover)
        mask = clip.mask(keyframe, mover)
        box = box_of(mask)
        if box is None or mask.sum() < LEAST_SHARE * whole_area(clip.movers[mover].size, wanted):
            continue
        yield ClipCase(clip.again(), mover, keyframe, jittered(rng, box, jitter, *mask.shape), wanted)
        number += 1


def follow(segmenter: Segmenter, case: ClipCase) -> ClipScore:
    """Score the masks of every frame, the keyframe included; a frame that the segmenter leaves out counts as empty."""
    clip = case.clip.again()
    masks = {frame: s[0].mask for frame, s in segmenter.propagate(clip, [Prompt(case.box)], case.keyframe)}
    truths = (clip.mask(frame, case.mover) for frame in range(len(clip)))
    return score_clip((masks.get(frame, np.zeros_like(truth)), truth) for frame, truth in enumerate(truths))


def clip_table(segmenter: Segmenter, cases: Sequence[ClipCase]) -> dict[str, object]:
    """Measure a segmenter: mean J&F with its interval, J, F, seconds per frame (scoring included), J&F of each kind."""
    start = time.perf_counter()
    scores = [follow(segmenter, case) for case in cases]
    frames = sum(len(case.clip) for case in cases)
    kinds: dict[str, list[float]] = defaultdict(list)
    for case, score in zip(cases, scores, strict=True):
        kinds[case.kind].append(score.j_and_f)
    return {
        **mean_line("j_and_f", [score.j_and_f for score in scores]),
        "j": round(float(np.mean([score.j for score in scores])), 4),
        "f": round(float(np.mean([score.f for score in scores])), 4),
        "seconds_per_frame": round((time.perf_counter() - start) / frames, 4),
        "by_kind": {kind: mean_line("j_and_f", kinds[kind]) for kind in sorted(kinds)},
    }


def main(arguments: list[str]) -> None:
    """Run the command."""

    def draw(options: argparse.Namespace) -> list[ClipCase]:
        return list(clip_cases(options.n, seed=options.seed, jitter=options.jitter))

    about = "One box to masks through a clip, on freshly drawn emblems."
    compare(arguments, about=about, n=100, draw=draw, table=clip_table, frames=FRAMES)


if __name__ == "__main__":
    main(sys.argv[1:])
