"""Ask the policy one question: keep every raw reply, ask once more for what cannot be read, then go on without it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from langgraph.runtime import Runtime

from graphs.conversation import ImageRef, Text, Turn
from graphs.openvocab.context import OpenVocabularyContext, emit
from graphs.openvocab.dialects import Shown
from graphs.openvocab.events import Replied
from graphs.openvocab.questions import Question
from graphs.openvocab.state import PlainReply
from graphs.policies.base import Completion, Policy, Sampling
from tools.errors import PolicyError, boundary
from tools.image_store import ImageStore
from tools.media import resize_square

T = TypeVar("T")


async def ask(
    runtime: Runtime[OpenVocabularyContext], step: str, about: str, question: Question, read: Callable[[str], T]
) -> tuple[T | None, list[PlainReply]]:
    """Return what `read` made of the answer, or None, and the raw replies; PolicyError if there is no answer at all."""
    context = runtime.context
    assert context.policy is not None
    replies: list[PlainReply] = []
    for _ in range(context.settings.repairs + 1):
        completion = await complete(
            context.policy, question, context.images, context.settings.sampling, context.settings.reply_seconds
        )
        value, problem = understand(completion, read)
        replies.append(as_plain_reply(step, about, completion, problem))
        emit(runtime, Replied(step, about, completion.text, problem))
        if not problem:
            return value, replies
        question = repaired(question, completion.text, problem)
    return None, replies


async def complete(
    policy: Policy, question: Question, images: ImageStore, sampling: Sampling, seconds: float
) -> Completion:
    """Have the question answered within `seconds`; PolicyError if the policy fails or takes longer."""
    with boundary(PolicyError, f"{policy.name} failed", remedy="Check the endpoint, or allow it more seconds."):
        async with asyncio.timeout(seconds):
            return await policy.complete(
                question.turns,
                images,
                max_tokens=question.max_tokens,
                stop=question.stop,
                sampling=replace(sampling, schema=question.schema),
            )


def understand(completion: Completion, read: Callable[[str], T]) -> tuple[T | None, str]:
    """Return what a reply says, or None and why it cannot be read."""
    try:
        return read(completion.text), ""
    except ValueError as error:
        cut = "it was too long and was cut off: " if completion.finish_reason == "length" else ""
        return None, f"{cut}{error}"


def repaired(question: Question, text: str, problem: str) -> Question:
    """Return the question again, after the reply and the reason why it could not be read."""
    hint = f"That cannot be read ({problem}). Answer again, in the form that was asked for."
    turns = (*question.turns, Turn("assistant", (Text(text),)), Turn("user", (Text(hint),)))
    return replace(question, turns=turns)


def as_plain_reply(step: str, about: str, completion: Completion, problem: str) -> PlainReply:
    """Return a reply as state and files hold it."""
    return {
        "step": step,
        "about": about,
        "text": completion.text,
        "problem": problem,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
    }


def show(context: OpenVocabularyContext) -> Shown:
    """Store the picture as the policy sees it; again after a resume, when the store is empty."""
    assert context.image is not None
    assert context.dialect is not None
    sides = context.dialect.overview_side, context.dialect.detail_side
    overview, detail = (ImageRef(context.images.put(resize_square(context.image, s)), s, s) for s in sides)
    return Shown(overview, detail)
