"""compare: sample the answering turn some times more, and see whether the answers point at the same."""

import asyncio
import logging
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import Answer
from graphs.candidates import Clarify, Placed, around, question_of, sort_answers
from graphs.context import Context, emit
from graphs.conversation import from_plain
from graphs.nodes.localize import keyframe_of, to_prompt
from graphs.nodes.reading import last_text, spent, understand
from graphs.nodes.sampling import complete
from graphs.nodes.timing import timed
from graphs.policies.base import Completion
from graphs.state import PlainCandidate, State
from tools.errors import MediaError, PolicyError, boundary

_log = logging.getLogger(__name__)


@timed
async def compare(state: State, runtime: Runtime[Context]) -> Command[Literal["ask", "localize"]]:
    """Compare the answer with further ones; go and ask if they tie, else let the first stand."""
    context = runtime.context
    clarify = context.clarify or Clarify()
    completions = await _again(state, context, clarify)
    tokens = {name: sum(getattr(one, name) for one in completions) for name in ("prompt_tokens", "completion_tokens")}
    update: dict[str, Any] = {"counts": tokens}
    texts = [last_text(state), *(completion.text for completion in completions)]
    groups = sort_answers([placed for text in texts if (placed := _place(text, state, context))], clarify.iou)
    rivals = [group for group in groups[1:] if group[1] >= clarify.rivals]
    if not rivals:
        return Command(goto="localize", update=update)
    try:
        update["candidates"] = [_candidate(placed, votes, state, context) for placed, votes in [groups[0], *rivals]]
    except MediaError as error:
        _log.warning("nobody was asked: %s", error)
        return Command(goto="localize", update=update)
    asked: State = {**state, "candidates": update["candidates"]}
    emit(runtime, question_of(asked))
    return Command(goto="ask", update=update)


async def _again(state: State, context: Context, clarify: Clarify) -> list[Completion]:
    """Sample the last turn again, all at once; a policy that fails now has answered before, and that stands."""
    if spent(state, context) is not None:
        return []
    conversation = [from_plain(turn) for turn in state["turns"][:-1]]

    async def one(number: int) -> Completion | None:
        try:
            return await complete(state, context, conversation, again=number, temperature=clarify.temperature)
        except PolicyError as error:
            _log.warning("an answer could not be compared: %s", error)
            return None

    sampled = await asyncio.gather(*(one(number) for number in range(1, clarify.samples + 1)))
    return [completion for completion in sampled if completion is not None]


def _place(text: str, state: State, context: Context) -> Placed | None:
    """Return what a turn points at, None if it is no answer."""
    answer = understand(text, cut=False, state=state, context=context)
    if not isinstance(answer, Answer):
        return None
    if answer.absent:
        return Placed(text, None, ())
    boxes = [target.box or around(*target.points[0]) for target in answer.targets]
    return Placed(text, keyframe_of(answer, text, state, context), tuple(boxes))


def _candidate(placed: Placed, votes: int, state: State, context: Context) -> PlainCandidate:
    plain: PlainCandidate = {"text": placed.text, "votes": votes, "frame": -1, "boxes": [], "labels": []}
    answer = understand(placed.text, cut=False, state=state, context=context)
    if placed.frame is None or not isinstance(answer, Answer):
        return plain
    with boundary(MediaError, f"cannot read frame {placed.frame}", remedy="Check that the video is complete."):
        height, width = context.media[placed.frame].shape[:2]
    prompts = [to_prompt(target, width=width, height=height) for target in answer.targets]
    plain |= {"frame": placed.frame, "boxes": [list(prompt.box or ()) for prompt in prompts]}
    plain["labels"] = [target.label for target in answer.targets]
    return plain
