"""From masks with scores to maps: the prior of presence, a label a pixel, and segments of things and stuff."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphs.openvocab.composer import Scores
from graphs.openvocab.vocabulary import Vocabulary
from tools.errors import InputError
from tools.segmenters.base import Mask, Segment

NOTHING = -1
"""The label of pixels that no mask covers."""

LabelMap = NDArray[np.int32]
"""The place of a class in the vocabulary at each pixel, int32 (height, width), or `NOTHING`."""


@dataclass(frozen=True, kw_only=True)
class PresencePrior:
    """What is added to the score of a class: `weight` times the log of the chance that it is in the picture.

    That chance is `present` for classes that were found there by reasoning, `absent` for the others. `hard` shuts the
    others out instead, as the published code does: a class that reasoning missed can then never be found.
    """

    weight: float = 1.0
    present: float = 0.95
    absent: float = 0.02
    hard: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.absent <= 1 and 0 < self.present <= 1 and self.weight >= 0):
            raise InputError("the prior of presence is no chance.", remedy="Give chances above 0, a weight from 0 on.")

    def add(self, scores: Scores, found: Collection[int]) -> Scores:
        """Return scores (masks, classes) with the prior; unchanged if nothing was found, which says nothing."""
        if not found:
            return scores
        inside = np.isin(np.arange(scores.shape[1]), list(found))
        if self.hard:
            return np.where(inside, scores, -np.inf)
        return np.asarray(scores + self.weight * np.log(np.where(inside, self.present, self.absent)))


def class_chances(scores: Scores) -> Scores:
    """Return the softmax over classes, (masks, classes)."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def semantic_map(segments: Sequence[Segment], chances: Scores, size: tuple[int, int]) -> LabelMap:
    """Label each pixel of (height, width) with the class of the highest sum of mask score times class chance.

    Masks may overlap; a pixel under none is `NOTHING`.
    """
    labels = np.full(size, NOTHING, np.int32)
    if not segments:
        return labels
    # Pixels under the same masks have the same label, and there are far fewer such sets than pixels. A set is known
    # by the random numbers of its masks, combined: that two of 64 bits fall together is never seen.
    masks = np.stack([segment.mask.reshape(-1) for segment in segments])
    numbers = np.random.default_rng(0).integers(1, 2**63, len(segments), dtype=np.uint64)
    keys = np.zeros(masks.shape[1], np.uint64)
    for mask, number in zip(masks, numbers, strict=True):
        keys[mask] ^= number
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    covering = masks[:, first].T.astype(np.float64)
    trust = np.array([max(segment.score, 1e-3) for segment in segments])
    best = np.where(covering.any(axis=1), (covering * trust @ chances).argmax(axis=1), NOTHING)
    return best[which.reshape(size)].astype(np.int32)


@dataclass(frozen=True)
class PanopticSegment:
    """One segment: its id in the map, the place of its class, the chance of that, and its visible pixels."""

    id: int
    place: int
    chance: float
    pixels: int


@dataclass(frozen=True)
class Maps:
    """The semantic map, the panoptic ids (height, width), 0 for nothing, and the segments that these name."""

    labels: LabelMap
    ids: NDArray[np.int32]
    segments: tuple[PanopticSegment, ...]

    @staticmethod
    def empty(size: tuple[int, int]) -> "Maps":
        """Return maps of (height, width) in which nothing is labelled."""
        return Maps(np.full(size, NOTHING, np.int32), np.zeros(size, np.int32), ())


@dataclass(frozen=True, kw_only=True)
class PanopticRules:
    """Segments are kept if their class has at least `chance`, and at least `visible` of a mask is not yet taken."""

    chance: float = 0.2
    visible: float = 0.7


def panoptic_map(
    segments: Sequence[Segment], chances: Scores, size: tuple[int, int], vocabulary: Vocabulary, rules: PanopticRules
) -> tuple[NDArray[np.int32], list[PanopticSegment]]:
    """Return ids (height, width), 0 for nothing, and the segments: one an instance of a thing, one a class of stuff.

    The masks of the highest mask score times class chance are laid first.
    """
    ids = np.zeros(size, np.int32)
    found: dict[int, PanopticSegment] = {}
    stuff: dict[int, int] = {}
    places = chances.argmax(axis=1)
    sure = [float(chances[i, place]) for i, place in enumerate(places)]
    for i in sorted(range(len(segments)), key=lambda i: -sure[i] * segments[i].score):
        free: Mask = segments[i].mask & (ids == 0)
        pixels, whole = int(np.count_nonzero(free)), int(np.count_nonzero(segments[i].mask))
        if sure[i] < rules.chance or not pixels or pixels < rules.visible * whole:
            continue
        place = int(places[i])
        number = stuff.get(place, len(found) + 1)
        if not vocabulary.classes[place].thing:
            stuff[place] = number
        ids[free] = number
        before = found.get(number)
        found[number] = PanopticSegment(
            number, place, max(sure[i], before.chance if before else 0.0), pixels + (before.pixels if before else 0)
        )
    return ids, list(found.values())


def fuse(
    segments: Sequence[Segment],
    scores: Scores,
    found: Collection[int],
    vocabulary: Vocabulary,
    size: tuple[int, int],
    *,
    prior: PresencePrior,
    rules: PanopticRules,
) -> Maps:
    """Make both maps of (height, width) from masks and their scores (masks, classes) before the prior.

    `found` are the places of the classes that are said to be there; none says nothing, and leaves the scores alone.
    """
    if not segments:
        return Maps.empty(size)
    chances = class_chances(prior.add(scores, found))
    ids, kept = panoptic_map(segments, chances, size, vocabulary, rules)
    return Maps(semantic_map(segments, chances, size), ids, tuple(kept))
