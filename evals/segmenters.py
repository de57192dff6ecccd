"""Measure any `Segmenter` from box to mask, on emblems, and what it is compared with.

The cases are fresh draws of the same 320 emblems and 96 backgrounds that training also draws from: places, sizes,
angles and neighbours are new, the emblems are not.

`python -m evals.segmenters --n 500 --seed 7 --sam2 FOLDER` prints one JSON object.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from evals.emblems.clips import Clip, make_clip
from evals.emblems.sprites import SHAPES
from evals.emblems.world import ALL_EMBLEMS
from evals.metrics.intervals import bootstrap_mean
from evals.metrics.overlap import mask_iou
from tools.image_store import Image
from tools.segmenters.base import Box, Frames, Mask, Prompt, Segment, Segmenter
from tools.segmenters.prompts import box_of

_Case = TypeVar("_Case")

LEAST_SHARE = 0.5
"""Emblems of which less than this part is visible are not asked for."""


@dataclass(frozen=True)
class Case:
    """One object to cut out: picture RGB uint8 (h, w, 3), prompt box in its pixels, true mask (h, w), and its kind."""

    image: Image
    box: Box
    truth: Mask
    kind: str


class FilledBox:
    """Baseline: the object is its box."""

    name = "filled box"

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Fill each prompt's box."""
        return [Segment(self._draw(image.shape[:2], _corners(prompt)), 0.0) for prompt in prompts]

    def _draw(self, size: tuple[int, ...], box: tuple[int, int, int, int]) -> Mask:
        mask = np.zeros(size, np.bool_)
        x1, y1, x2, y2 = box
        mask[max(0, y1) : y2, max(0, x1) : x2] = True
        return mask

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Repeat the keyframe's masks on every frame."""
        segments = self.segment(frames[keyframe], prompts)
        return ((index, segments) for index in range(len(frames)))


class InscribedEllipse(FilledBox):
    """Baseline: the object is the ellipse that fits into its box."""

    name = "inscribed ellipse"

    def _draw(self, size: tuple[int, ...], box: tuple[int, int, int, int]) -> Mask:
        x1, y1, x2, y2 = box
        y, x = np.ogrid[: size[0], : size[1]]
        rx, ry = max(0.5, (x2 - x1) / 2), max(0.5, (y2 - y1) / 2)
        inside = ((x + 0.5 - (x1 + x2) / 2) / rx) ** 2 + ((y + 0.5 - (y1 + y2) / 2) / ry) ** 2 <= 1
        return np.asarray(inside, dtype=np.bool_)


def _corners(prompt: Prompt) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = prompt.box or (0.0, 0.0, 0.0, 0.0)
    return round(x1), round(y1), round(x2), round(y2)


def jittered(rng: np.random.Generator, box: Box, pixels: float, height: int, width: int) -> Box:
    """Move each edge of a box by up to `pixels`, uniformly; stay inside the picture and at least 4 pixels wide."""
    x1, y1, x2, y2 = np.array(box) + rng.uniform(-pixels, pixels, 4)
    x1, y1 = float(np.clip(x1, 0, width - 4)), float(np.clip(y1, 0, height - 4))
    return x1, y1, float(np.clip(x2, x1 + 4, width)), float(np.clip(y2, y1 + 4, height))


def draw_clip(rng: np.random.Generator, shape: str, frames: int) -> tuple[Clip, int]:
    """Draw a clip of 4 to 6 emblems of which one has `shape`; return it and the place of that one."""
    same = [emblem for emblem in ALL_EMBLEMS if emblem.shape == shape]
    emblems = [same[int(rng.integers(len(same)))]]
    emblems += [ALL_EMBLEMS[int(i)] for i in rng.integers(len(ALL_EMBLEMS), size=int(rng.integers(3, 6)))]
    order = rng.permutation(len(emblems))
    return make_clip(rng, [emblems[i] for i in order], frames), int(np.flatnonzero(order == 0)[0])


def emblem_cases(count: int, *, seed: int, jitter: float) -> Iterator[Case]:
    """Draw `count` emblems in fresh frames of 448 pixels, one case each, the shapes in turn; boxes are jittered."""
    rng = np.random.default_rng((0x5E65, seed))
    number = 0
    while number < count:
        wanted = SHAPES[number % len(SHAPES)]
        clip, place = draw_clip(rng, wanted, 1)
        truth = clip.mask(0, place)
        box = box_of(truth)
        if box is None or truth.sum() < LEAST_SHARE * whole_area(clip.movers[place].size, wanted):
            continue
        yield Case(clip[0], jittered(rng, box, jitter, *truth.shape), truth, wanted)
        number += 1


def whole_area(size: int, shape: str) -> float:
    """Estimate from below the pixels that an unhidden emblem covers, from the side of its sprite."""
    return size * size * (0.3 if shape in ("cross", "crescent", "star") else 0.38)


def measure(segmenter: Segmenter, cases: Sequence[Case]) -> list[float]:
    """Return the IoU of each case."""
    return [mask_iou(segmenter.segment(case.image, [Prompt(case.box)])[0].mask, case.truth) for case in cases]


def table(segmenter: Segmenter, cases: Sequence[Case]) -> dict[str, object]:
    """Measure a segmenter: n, mIoU with its interval, seconds per object, and n and mIoU of each kind."""
    start = time.perf_counter()
    values = measure(segmenter, cases)
    seconds = (time.perf_counter() - start) / max(1, len(cases))
    kinds: dict[str, list[float]] = defaultdict(list)
    for case, value in zip(cases, values, strict=True):
        kinds[case.kind].append(value)
    return {
        **mean_line("miou", values),
        "seconds_per_object": round(seconds, 4),
        "by_kind": {kind: mean_line("miou", kinds[kind]) for kind in sorted(kinds)},
    }


def mean_line(name: str, values: Sequence[float]) -> dict[str, object]:
    """Return the mean of at least one value under `name`, with n and its 95 % bootstrap interval."""
    low, high = bootstrap_mean(values)
    return {"n": len(values), name: round(float(np.mean(values)), 4), "ci95": [round(low, 4), round(high, 4)]}


def rivals(sam2: str | None, *, grabcut: bool, window: float | None = None) -> list[Segmenter]:
    """Return the segmenters to compare: the two trivial ones, GrabCut if wanted, SAM 2 from a folder or hub id."""
    chosen: list[Segmenter] = [FilledBox(), InscribedEllipse()]
    if grabcut:
        from tools.segmenters.grabcut import GrabCutSegmenter

        chosen.append(GrabCutSegmenter())
    if sam2:
        from tools.segmenters.sam2 import Sam2Segmenter

        chosen.append(Sam2Segmenter(sam2, window=window))
    return chosen


def add_rivals(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the segmenters."""
    parser.add_argument("--sam2", help="folder or hub id of a SAM 2 checkpoint")
    parser.add_argument("--window", type=float, help="override the window factor of the checkpoint")
    parser.add_argument("--no-grabcut", action="store_true", help="leave GrabCut out")


def compare(
    arguments: list[str],
    *,
    about: str,
    n: int,
    draw: Callable[[argparse.Namespace], Sequence[_Case]],
    table: Callable[[Segmenter, Sequence[_Case]], dict[str, object]],
    **more: object,
) -> None:
    """Run a command that measures rivals on drawn cases and prints one JSON object; `more` is printed as it is.

    `draw` is given the options `n`, `seed` and `jitter`.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--n", type=int, default=n)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jitter", type=float, default=6.0, help="pixels by which each edge moves at most")
    add_rivals(parser)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(2)
    cases = draw(options)
    segmenters = rivals(options.sam2, grabcut=not options.no_grabcut, window=options.window)
    report = {"n": options.n, "seed": options.seed, "jitter": options.jitter, **more}
    sys.stdout.write(json.dumps({**report, "segmenters": {s.name: table(s, cases) for s in segmenters}}) + "\n")


def main(arguments: list[str]) -> None:
    """Run the command."""

    def draw(options: argparse.Namespace) -> list[Case]:
        return list(emblem_cases(options.n, seed=options.seed, jitter=options.jitter))

    compare(arguments, about="Box to mask on freshly drawn emblems.", n=500, draw=draw, table=table)


if __name__ == "__main__":
    main(sys.argv[1:])
