"""align and compose: the policy's names become classes, and classes become phrases that masks are compared with."""

import asyncio
from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.openvocab.composer import compose as compose_phrases
from graphs.openvocab.context import OpenVocabularyContext, emit
from graphs.openvocab.events import Aligned, Composed
from graphs.openvocab.nodes.timing import timed
from graphs.openvocab.reasons import ClassReason, as_plain_reason, from_plain_reason
from graphs.openvocab.state import PlainPresence, VocabularyState


@timed
async def align(state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Literal["compose"]]:
    """Map candidates, and what reasons were given for, to classes; names that are like none are told, never forced."""
    context = runtime.context
    reasons = state.get("reasons", {})
    names = list(dict.fromkeys([*state.get("candidates", []), *reasons]))
    alignments, unaligned = await asyncio.to_thread(context.aligner.align, names)
    presence: dict[int, PlainPresence] = {}
    for one in alignments:
        found: PlainPresence = {
            "place": one.place,
            "name": one.name,
            "likeness": one.likeness,
            "reason": reasons.get(one.name, as_plain_reason(ClassReason())),
        }
        known = presence.setdefault(one.place, found)
        if not known["reason"]["attributes"]:
            known["reason"] = found["reason"]
    classes = context.vocabulary.classes
    emit(runtime, Aligned(tuple((p["name"], classes[p["place"]].name) for p in presence.values()), tuple(unaligned)))
    return Command(goto="compose", update={"presence": list(presence.values()), "unaligned": unaligned})


@timed
async def compose(
    state: VocabularyState, runtime: Runtime[OpenVocabularyContext]
) -> Command[Literal["locate", "segment"]]:
    """Write the phrases of every class: from the reasons in this picture, else from generic ones, else its names."""
    context = runtime.context
    in_image = {one["place"]: from_plain_reason(one["reason"]) for one in state.get("presence", [])}
    phrases = compose_phrases(context.vocabulary, in_image, context.generic, most=context.settings.attributes)
    emit(runtime, Composed(len(phrases)))
    update = {"phrases": [{"place": p.place, "slot": p.slot, "text": p.text} for p in phrases]}
    return Command(goto="locate" if context.settings.regions == "boxes" else "segment", update=update)
