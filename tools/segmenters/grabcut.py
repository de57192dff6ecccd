"""GrabCut: cut an object out of its box by colour alone; needs no weights, so it always works.

Knows colours, not things: good on objects that differ from their surroundings, poor on camouflage and thin parts.
Cost is bounded: it looks at a crop around the box, scaled down to at most `WORK_SIDE` pixels a side.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.errors import SegmenterError, boundary
from tools.image_store import Image
from tools.segmenters.base import Box, Frames, Mask, Prompt, Segment
from tools.segmenters.prompts import check_keyframe, check_prompts
from tools.segmenters.tracking import propagate_by_tracking

WORK_SIDE = 256
"""Longest side in pixels of the crop that is cut; more costs time and gains little."""

MARGIN = 0.5
"""Surroundings shown around the box, in parts of its longer side: where the background's colours are learnt."""

ITERATIONS = 4
TINY = 4
"""Boxes narrower than this many pixels are taken whole: there is nothing to model."""

ENOUGH = 32
"""Pixels needed on either side to fit five colour clusters; with fewer, OpenCV raises an assertion."""


class GrabCutSegmenter:
    """GrabCut behind the `Segmenter` protocol; deterministic."""

    name = "grabcut"

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt in one RGB picture, uint8 (height, width, 3); see `Segmenter.segment`.

        The score is how well the colours inside and outside of the mask can be told apart, 0 to 1.
        """
        check_prompts(prompts)
        with boundary(SegmenterError, "GrabCut failed", remedy="Try another box, or the segmenter sam2."):
            return [_cut(image, prompt) for prompt in prompts]

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Segment each prompt of frame `keyframe` through the clip by tracking; see `Segmenter.propagate`."""
        check_prompts(prompts)
        check_keyframe(keyframe, len(frames))
        yield from propagate_by_tracking(self, frames, prompts, keyframe)


def _cut(image: Image, prompt: Prompt) -> Segment:
    height, width = image.shape[:2]
    mask = np.zeros((height, width), dtype=np.bool_)
    left, top, right, bottom = _pixels(prompt.box or _guess_box(prompt, height, width), height, width)
    if left >= right or top >= bottom:
        return Segment(mask, 0.0)
    if min(right - left, bottom - top) < TINY:
        mask[top:bottom, left:right] = True
        return Segment(mask, 0.0)
    margin = max(8, round(MARGIN * max(right - left, bottom - top)))
    x, y = max(0, left - margin), max(0, top - margin)
    crop = image[y : min(height, bottom + margin), x : min(width, right + margin)]
    scale = min(1.0, WORK_SIDE / max(crop.shape[:2]))
    size = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA) if scale < 1 else np.ascontiguousarray(crop)
    box = np.round(np.array([left - x, top - y, right - x, bottom - y]) * scale).astype(int).tolist()
    yes, no = (_discs(small.shape[:2], prompt, label, (x, y), scale) for label in (1, 0))
    inside = _solve(small, _trimap(small.shape[:2], box, yes, no), no)
    full = cv2.resize(inside.astype(np.float32), (crop.shape[1], crop.shape[0]), interpolation=cv2.INTER_LINEAR)
    mask[y : y + crop.shape[0], x : x + crop.shape[1]] = full > 0.5
    return Segment(mask, _contrast(small, inside))


def _pixels(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the box in whole pixels inside the picture: left, top, right, bottom (exclusive); may be empty."""
    x1, y1, x2, y2 = box
    left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
    return left, top, min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))


def _guess_box(prompt: Prompt, height: int, width: int) -> Box:
    """Return a box to search in when only points are given: half the picture around the points inside."""
    inside = [point for point, label in zip(prompt.points, prompt.labels, strict=True) if label == 1]
    xy = np.array(inside or [(width / 2, height / 2)])
    reach = min(height, width) / 4
    (x1, y1), (x2, y2) = xy.min(axis=0) - reach, xy.max(axis=0) + reach
    return float(x1), float(y1), float(x2), float(y2)


def _discs(shape: tuple[int, ...], prompt: Prompt, label: int, origin: tuple[int, int], scale: float) -> Mask:
    """Return a mask of small discs around the prompt's points of one label, in the scaled crop of `shape`."""
    discs = np.zeros(shape, dtype=np.uint8)
    radius = max(1, round(0.02 * max(shape)))
    for (x, y), kind in zip(prompt.points, prompt.labels, strict=True):
        column, row = (x - origin[0]) * scale - 0.5, (y - origin[1]) * scale - 0.5
        if kind == label and -0.5 <= column < shape[1] and -0.5 <= row < shape[0]:
            cv2.circle(discs, (round(column), round(row)), radius, 1, thickness=-1)
    return discs > 0


def _trimap(shape: tuple[int, ...], box: list[int], yes: Mask, no: Mask) -> NDArray[np.uint8]:
    """Return what GrabCut is told: background outside the box, perhaps object inside, points for sure."""
    trimap = np.full(shape, cv2.GC_BGD, dtype=np.uint8)
    left, top, right, bottom = box
    trimap[top : max(bottom, top + 1), left : max(right, left + 1)] = cv2.GC_PR_FGD
    if (trimap == cv2.GC_BGD).sum() < max(ENOUGH, trimap.size // 50):
        # The box fills the picture: let its rim teach the background's colours, without being sure.
        rim = max(2, min(shape) // 20)
        core = trimap[rim:-rim, rim:-rim].copy()
        trimap[:] = cv2.GC_PR_BGD
        trimap[rim:-rim, rim:-rim] = core
    trimap[yes] = cv2.GC_FGD
    trimap[no] = cv2.GC_BGD
    return trimap


def _solve(image: Image, trimap: NDArray[np.uint8], no: Mask) -> Mask:
    """Run GrabCut; where it cannot tell object from background, everything that may be the object is."""
    candidates: Mask = np.isin(trimap, (cv2.GC_PR_FGD, cv2.GC_FGD))
    if candidates.sum() < ENOUGH or (~candidates).sum() < ENOUGH:
        return candidates
    solved = trimap.copy()
    cv2.setRNGSeed(0)  # the colour clusters start from random centres
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image, solved, None, *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    inside: Mask = np.isin(solved, (cv2.GC_PR_FGD, cv2.GC_FGD))
    inside = _main_parts(inside, sure=trimap == cv2.GC_FGD, no=no)
    return inside if inside.any() else candidates


def _main_parts(mask: Mask, *, sure: Mask, no: Mask) -> Mask:
    """Keep connected parts of at least a twentieth of the largest, but none that a point said to be outside touches."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    touched = np.unique(labels[cv2.dilate(no.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0])
    refused = set(touched.tolist()) - set(np.unique(labels[sure]).tolist())
    keep = [part for part in range(1, count) if areas[part] * 20 >= areas[1:].max() and part not in refused]
    return np.asarray(np.isin(labels, keep), dtype=np.bool_)


def _contrast(image: Image, mask: Mask) -> float:
    """Return the Bhattacharyya distance, 0 to 1, between the colours inside and outside of the mask."""
    histograms = []
    for region in (mask, ~mask):
        histogram = cv2.calcHist([image], [0, 1, 2], region.astype(np.uint8), [8, 8, 8], [0, 256] * 3)
        histograms.append(histogram / max(1.0, float(histogram.sum())))
    return float(np.sqrt(max(0.0, 1.0 - float(np.sqrt(histograms[0] * histograms[1]).sum()))))
