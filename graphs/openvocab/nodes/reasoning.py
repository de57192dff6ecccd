"""describe, shortlist, reason: the policy's three steps on a picture. A step that cannot be read is gone without."""

from typing import Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.openvocab.asking import ask, show
from graphs.openvocab.context import OpenVocabularyContext
from graphs.openvocab.nodes.timing import timed
from graphs.openvocab.reasons import ClassReason, as_plain_reason
from graphs.openvocab.state import PlainReply, VocabularyState


@timed
async def describe(
    state: VocabularyState, runtime: Runtime[OpenVocabularyContext]
) -> Command[Literal["shortlist", "align"]]:
    """Have the whole picture described; skipped where reasons were recorded before, and without a policy."""
    context = runtime.context
    if context.reasons is not None:
        reasons = {name: as_plain_reason(reason) for name, reason in context.reasons.candidates.items()}
        update = {"description": context.reasons.description, "candidates": list(reasons), "reasons": reasons}
        return Command(goto="align", update=update)
    if context.policy is None or context.dialect is None:
        return Command(goto="align", update={})
    question = context.dialect.describe(show(context))
    description, replies = await ask(runtime, "describe", "", question, context.dialect.read_description)
    return Command(goto="shortlist", update={"description": description or "", "replies": replies})


@timed
async def shortlist(
    state: VocabularyState, runtime: Runtime[OpenVocabularyContext]
) -> Command[Literal["reason", "align"]]:
    """Have the candidates picked out of the class list, some names at a time; without any, no reason is asked for."""
    context = runtime.context
    assert context.dialect is not None
    shown, description = show(context), state.get("description", "")
    names = [one.name for one in context.vocabulary.classes]
    found: list[str] = []
    replies: list[PlainReply] = []
    for start in range(0, len(names), context.settings.names_per_question):
        some = names[start : start + context.settings.names_per_question]
        question = context.dialect.shortlist(shown, description, some)
        if question is None:
            found = context.dialect.read_shortlist(description) if description else []
            break
        read, more = await ask(
            runtime, "shortlist", f"{some[0]} … {some[-1]}", question, context.dialect.read_shortlist
        )
        found += read or []
        replies += more
    candidates = list(dict.fromkeys(found))
    return Command(goto="reason" if candidates else "align", update={"candidates": candidates, "replies": replies})


@timed
async def reason(state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Literal["align"]]:
    """Have it said by what each candidate is recognised here; the candidates stay where that cannot be read."""
    context = runtime.context
    assert context.dialect is not None
    question = context.dialect.reason(show(context), state["candidates"], context.settings.attributes)
    reasons: dict[str, ClassReason] | None
    replies: list[PlainReply] = []
    if question is None:
        reasons = context.dialect.read_reasons(state["description"])
    else:
        reasons, replies = await ask(runtime, "reason", "", question, context.dialect.read_reasons)
    plain = {name: as_plain_reason(one) for name, one in (reasons or {}).items()}
    return Command(goto="align", update={"reasons": plain, "replies": replies})
