"""Run the second graph on one picture: the one way in which evaluations and programs use it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from langchain_core.runnables import RunnableConfig
from langsmith import tracing_context

from graphs.endings import Ending
from graphs.openvocab.composer import Scores
from graphs.openvocab.context import OpenVocabularyContext, Workspace
from graphs.openvocab.events import VocabularyEvent
from graphs.openvocab.fusion import Maps
from graphs.openvocab.graph import VocabularyGraph, graph
from graphs.openvocab.reasons import ClassReason, ImageReasons, from_plain_reason
from graphs.openvocab.state import PlainReply, VocabularyInput, VocabularyState
from graphs.state import PlainFailure
from tools.errors import InputError
from tools.image_store import Image, ImageStore, image_sha256
from tools.segmenters.base import Segment


@dataclass(frozen=True)
class NamedSegment:
    """A panoptic segment and why it has its class: what the policy called it, and by what it knew it (if it did)."""

    id: int
    name: str
    chance: float
    pixels: int
    said: str
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class OpenVocabularyResult:
    """How a run ended and all that it brought. `maps` is None if a part of the system broke."""

    ending: Ending
    failure: PlainFailure | None
    maps: Maps | None
    segments: tuple[NamedSegment, ...]
    present: Mapping[str, ClassReason]
    """The classes that reasoning found, each with its reason."""
    found: frozenset[int]
    """The places of the classes that the prior took for present: these, and what was certain."""
    unaligned: tuple[str, ...]
    """Names of the policy that are like no class of the vocabulary."""
    reasons: ImageReasons
    """What the policy said, by its own names; `write_image_reasons` keeps it."""
    replies: tuple[PlainReply, ...]
    seconds: Mapping[str, float]
    regions: tuple[Segment, ...]
    scores: Scores | None
    """Scores (regions, classes) before the prior, so that other priors can be tried without cutting again."""


async def segment_vocabulary(
    image: Image,
    context: OpenVocabularyContext,
    *,
    app: VocabularyGraph = graph,
    config: RunnableConfig | None = None,
    resume: bool = False,
) -> OpenVocabularyResult:
    """Label an RGB picture, uint8 (height, width, 3), with the context's vocabulary.

    A failing policy, segmenter or classifier is an ending, not an exception. With `resume`, `app` must have a
    checkpointer and `config` the thread_id of a run that was cut short. Raises InputError for what is no such picture.
    """
    context = _prepare(image, context)
    with tracing_context(enabled=False):
        state = await app.ainvoke(None if resume else _start(image), config, context=context)
    return collect(cast(VocabularyState, state), context)


async def stream_vocabulary(
    image: Image, context: OpenVocabularyContext, *, app: VocabularyGraph = graph
) -> AsyncIterator[VocabularyEvent | OpenVocabularyResult]:
    """Label a picture like `segment_vocabulary`, yielding each event as it happens and the result last."""
    context = _prepare(image, context)
    state: Any = {}
    with tracing_context(enabled=False):
        parts = app.astream(_start(image), context=context, stream_mode=["custom", "values"])
        async for mode, part in parts:
            if mode == "custom":
                yield cast(VocabularyEvent, part)
            else:
                state = part
    yield collect(cast(VocabularyState, state), context)


def collect(state: VocabularyState, context: OpenVocabularyContext) -> OpenVocabularyResult:
    """Put the result together from the final state and the run's workspace."""
    ending = Ending(state["ending"])
    maps = None if ending.broken else context.work.maps
    presence = {one["place"]: one for one in state.get("presence", [])}
    classes = context.vocabulary.classes
    segments = []
    for one in maps.segments if maps else ():
        known = presence.get(one.place)
        attributes = from_plain_reason(known["reason"]).attributes if known else ()
        said = known["name"] if known else ""
        segments.append(NamedSegment(one.id, classes[one.place].name, one.chance, one.pixels, said, attributes))
    reasons = {name: from_plain_reason(plain) for name, plain in state.get("reasons", {}).items()}
    candidates = {name: reasons.get(name, ClassReason()) for name in [*state.get("candidates", []), *reasons]}
    return OpenVocabularyResult(
        ending=ending,
        failure=state.get("failure"),
        maps=maps,
        segments=tuple(segments),
        present={classes[place].name: from_plain_reason(one["reason"]) for place, one in presence.items()},
        found=context.work.found,
        unaligned=tuple(state.get("unaligned", [])),
        reasons=ImageReasons(state.get("description", ""), candidates),
        replies=tuple(state.get("replies", [])),
        seconds=state.get("seconds", {}),
        regions=tuple(context.work.segments or ()),
        scores=context.work.scores,
    )


def _prepare(image: Image, context: OpenVocabularyContext) -> OpenVocabularyContext:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(
            f"a picture is RGB, uint8 (height, width, 3), not {image.dtype} {image.shape}.",
            remedy="Convert it, for example with tools.media.",
        )
    return replace(context, image=image, images=ImageStore(), work=Workspace())


def _start(image: Image) -> VocabularyInput:
    return {"image": image_sha256(image)}
