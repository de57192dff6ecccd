"""locate, segment, fuse: boxes of the policy or masks of all that stands out, their scores, and the two maps."""

import asyncio
from typing import Literal

import numpy as np
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.endings import Ending
from graphs.openvocab.asking import ask, show
from graphs.openvocab.composer import Phrase, PhraseRows, Scores, score_classes
from graphs.openvocab.context import OpenVocabularyContext, emit
from graphs.openvocab.events import Fused, RegionsCut
from graphs.openvocab.fusion import Maps
from graphs.openvocab.fusion import fuse as fuse_maps
from graphs.openvocab.nodes.timing import timed
from graphs.openvocab.state import PlainRegion, PlainReply, VocabularyState
from tools.errors import InputError, SegmenterError, boundary
from tools.segmenters.automatic import propose_masks
from tools.segmenters.base import Prompt, Segment

_CERTAIN = 50.0
"""Score of a class whose box was asked for by name, against 0 of all others."""


@timed
async def locate(state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Literal["segment"]]:
    """Ask for the boxes of every class that was found; one that cannot be read leaves its class without."""
    context = runtime.context
    assert context.dialect is not None
    shown = show(context)
    regions: list[PlainRegion] = []
    replies: list[PlainReply] = []
    for one in state.get("presence", []):
        question = context.dialect.locate(shown, one["name"], state.get("description", ""))
        boxes, more = await ask(runtime, "locate", one["name"], question, context.dialect.read_boxes)
        regions += [{"place": one["place"], "box": list(box)} for box in boxes or []]
        replies += more
    return Command(goto="segment", update={"regions": regions, "replies": replies})


@timed
async def segment(state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Literal["fuse"]]:
    """Cut the masks and score each by every class, in a worker thread."""
    work = runtime.context.work
    cut = cut_boxes if runtime.context.settings.regions == "boxes" else cut_masks
    segments, scores = await asyncio.to_thread(cut, state, runtime.context)
    work.segments, work.scores = segments, scores
    emit(runtime, RegionsCut(len(segments)))
    return Command(goto="fuse", update={})


@timed
async def fuse(
    state: VocabularyState, runtime: Runtime[OpenVocabularyContext]
) -> Command[Literal["segment", "__end__"]]:
    """Add the prior of presence and say that the maps can be made; after a resume, masks are cut again first."""
    context = runtime.context
    if context.work.segments is None or context.work.scores is None:
        return Command(goto="segment", update={})
    context.work.found = places_found(state, context)
    maps = await asyncio.to_thread(make_maps, context)
    context.work.maps = maps
    classes = tuple(context.vocabulary.classes[place].name for place in np.unique(maps.labels) if place >= 0)
    emit(runtime, Fused(classes, len(maps.segments)))
    ending = Ending.FOUND if classes else Ending.ABSENT
    return Command(goto="__end__", update={"ending": ending.value})


def cut_masks(state: VocabularyState, context: OpenVocabularyContext) -> tuple[list[Segment], Scores]:
    """Return the masks of all that stands out, and of the rest, with their scores (masks, classes)."""
    assert context.image is not None
    assert context.encoder is not None
    with boundary(SegmenterError, f"{context.segmenter.name} failed", remedy="Try another segmenter."):
        segments = propose_masks(context.segmenter, context.image, context.settings.proposals)
    if context.settings.rest:
        segments += rest_of(segments, context.image.shape[:2])
    phrases = [Phrase(one["place"], one["slot"], one["text"]) for one in state["phrases"]]
    rows = (context.rows or PhraseRows(context.encoder)).rows(phrases)
    masks = context.encoder.encode_masks(context.image, [one.mask for one in segments])
    if segments and masks.shape[1] != rows.shape[1]:
        raise InputError("masks and texts are encoded in different spaces.", remedy="Use one checkpoint for both.")
    if not segments:
        return [], np.zeros((0, len(context.vocabulary)))
    return segments, score_classes(masks, rows, phrases, len(context.vocabulary), scale=context.encoder.scale)


def rest_of(segments: list[Segment], size: tuple[int, ...]) -> list[Segment]:
    """Return what no mask covers as one mask, without much trust; none if everything is covered."""
    covered = np.zeros(size, np.bool_)
    for one in segments:
        covered |= one.mask
    return [] if covered.all() else [Segment(~covered, 0.5)]


def cut_boxes(state: VocabularyState, context: OpenVocabularyContext) -> tuple[list[Segment], Scores]:
    """Return the masks in the policy's boxes, with scores (masks, classes) that say the class it was asked for."""
    assert context.image is not None
    height, width = context.image.shape[:2]
    regions = state.get("regions", [])
    prompts = []
    for one in regions:
        x1, y1, x2, y2 = one["box"]
        left, top = min(x1 * width, width - 1.0), min(y1 * height, height - 1.0)
        prompts.append(Prompt((left, top, max(x2 * width, left + 1.0), max(y2 * height, top + 1.0))))
    scores = np.zeros((len(regions), len(context.vocabulary)))
    scores[np.arange(len(regions)), [one["place"] for one in regions]] = _CERTAIN
    with boundary(SegmenterError, f"{context.segmenter.name} failed", remedy="Try another segmenter."):
        return context.segmenter.segment(context.image, prompts), scores


def places_found(state: VocabularyState, context: OpenVocabularyContext) -> frozenset[int]:
    """Return the places of the classes that reasoning found and of those that are certain; none if it found none."""
    found = {one["place"] for one in state.get("presence", [])}
    if not found:  # what is certain says nothing about the other classes
        return frozenset()
    classes = context.vocabulary.classes
    return frozenset(found | {place for place, one in enumerate(classes) if one.name in context.settings.certain})


def make_maps(context: OpenVocabularyContext) -> Maps:
    """Return the maps from masks and scores, with the prior of what was found."""
    work, settings = context.work, context.settings
    assert context.image is not None
    assert work.segments is not None
    assert work.scores is not None
    height, width = context.image.shape[:2]
    return fuse_maps(
        work.segments,
        work.scores,
        work.found,
        context.vocabulary,
        (height, width),
        prior=settings.prior,
        rules=settings.panoptic,
    )
