"""The ways in which one run labels a picture, so that what reasoning brings is seen on the same masks and scores."""

import asyncio
from dataclasses import replace

from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, OpenVocabularyResult, segment_vocabulary
from graphs.openvocab.fusion import Maps, fuse
from graphs.state import PlainFailure
from tools.errors import InputError
from tools.image_store import Image

Ways = tuple[str, ...]
OWN, HARD, NO_PRIOR, BOXES = "", "hard gating", "no prior", "policy's boxes"
"""As the context says (with the soft prior of presence), as OpenSeg-R gates, and the masks' scores alone; and boxes."""


def choose_ways(spec: RunSpec) -> Ways:
    """Return the ways in which a run labels, the graph's own first; InputError for boxes without a policy."""
    if spec.reasoning == "off":
        if spec.boxes:
            raise InputError("boxes are the policy's.", remedy="Leave out --boxes or --no-reasoning.")
        return (OWN,)
    return (OWN, HARD, NO_PRIOR, *((BOXES,) if spec.boxes else ()))


async def label_ways(
    image: Image, context: OpenVocabularyContext, ways: Ways
) -> tuple[OpenVocabularyResult, dict[str, Maps], PlainFailure | None]:
    """Return the result, the maps of the ways that did not break, and what broke, if anything did."""
    result = await segment_vocabulary(image, context)
    if result.maps is None:
        return result, {}, result.failure
    maps = {way: await asyncio.to_thread(_fuse, way, result, context) for way in ways if way != BOXES}
    if BOXES not in ways:
        return result, maps, None
    again = replace(context, reasons=result.reasons, settings=replace(context.settings, regions="boxes"))
    located = await segment_vocabulary(image, again)
    if located.maps is not None:
        maps[BOXES] = located.maps
    return result, maps, located.failure


def _fuse(way: str, result: OpenVocabularyResult, context: OpenVocabularyContext) -> Maps:
    """Return the maps of a run's masks as `way` makes them."""
    assert result.maps is not None
    if way == OWN or result.scores is None:
        return result.maps
    prior, found = context.settings.prior, result.found
    size = (result.maps.labels.shape[0], result.maps.labels.shape[1])
    return fuse(
        result.regions,
        result.scores,
        found if way == HARD else (),
        context.vocabulary,
        size,
        prior=replace(prior, hard=True) if way == HARD else prior,
        rules=context.settings.panoptic,
    )
