"""compare: let the policy come to its answer some times more, and see whether the answers point at the same."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import Answer, LookCloser, Search
from graphs.candidates import Clarify, Placed, around, question_of, sort_answers
from graphs.context import Context, emit
from graphs.conversation import Text, Turn, from_plain
from graphs.nodes.localize import keyframe_of, to_prompt
from graphs.nodes.reading import last_text, spent, understand
from graphs.nodes.sampling import complete
from graphs.nodes.timing import timed
from graphs.pictures import show_frame
from graphs.state import PlainCandidate, State
from tools.errors import MediaError, PolicyError, boundary

_log = logging.getLogger(__name__)

_MOST_TURNS = 3
"""Turns of one further answer; one that takes more has no vote."""


@dataclass
class _Try:
    """One further way to an answer: its text, None if there is none, and what it cost."""

    text: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


@timed
async def compare(state: State, runtime: Runtime[Context]) -> Command[Literal["ask", "localize"]]:
    """Compare the answer with further ones; go and ask if they tie, else let the first stand."""
    context = runtime.context
    clarify = context.clarify or Clarify()
    first = _place(last_text(state), state, context)
    tries = await _again(first, state, context, clarify)
    tokens = {name: sum(getattr(one, name) for one in tries) for name in ("prompt_tokens", "completion_tokens")}
    update: dict[str, Any] = {"counts": tokens}
    others = [_place(one.text, state, context) for one in tries if one.text is not None]
    # Boxes in different frames cannot be compared; "it is not there" speaks of all of them.
    alike = [one for one in others if first.frame is None or one.frame in (first.frame, None)]
    groups = sort_answers([first, *alike], clarify.iou)
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


async def _again(first: Placed, state: State, context: Context, clarify: Clarify) -> list[_Try]:
    """Sample further answers, all at once; a policy that fails now has answered before, and that stands."""
    if spent(state, context) is not None:
        return []
    known = _informed(state, context)
    return list(await asyncio.gather(*(_try(n, known, first, state, context) for n in range(clarify.samples))))


def _informed(state: State, context: Context) -> list[Turn]:
    """Return the conversation up to the last thing that was looked up: from there on the policy is on its own."""
    turns = [from_plain(turn) for turn in state["turns"]]
    own = [place for place, turn in enumerate(turns) if turn.role == "assistant"]

    def searches(turn: Turn) -> bool:
        return isinstance(understand(turn.text, cut=False, state=state, context=context), Search)

    searched = [place for place in own if searches(turns[place])]
    return turns[: searched[-1] + 2] if searched else turns[: own[0]]


async def _try(number: int, known: list[Turn], first: Placed, state: State, context: Context) -> _Try:
    """Sample one way to an answer; a closer look is at the frame of the first answer, so that boxes can be compared."""
    tried, turns = _Try(), list(known)
    temperature = (context.clarify or Clarify()).temperature
    try:
        for step in range(_MOST_TURNS):
            again = 1 + number * _MOST_TURNS + step
            completion = await complete(state, context, turns, again=again, temperature=temperature)
            if completion is None:
                break
            tried.prompt_tokens += completion.prompt_tokens
            tried.completion_tokens += completion.completion_tokens
            action = understand(completion.text, cut=False, state=state, context=context)
            if isinstance(action, Answer):
                tried.text = completion.text
            if not isinstance(action, LookCloser):
                break
            frame = action.frame if first.frame is None else first.frame
            shown, _ = show_frame(context, frame, context.dialect.view.keyframe_size)
            own = Turn("assistant", (Text(completion.text),), completion.token_ids, completion.logprobs)
            observation = context.dialect.observation(completion.text, [context.dialect.keyframe(shown)])
            turns += [own, Turn("user", observation)]
    except (PolicyError, MediaError) as error:
        _log.warning("an answer could not be compared: %s", error)
    return tried


def _place(text: str, state: State, context: Context) -> Placed:
    """Return what an answering turn points at."""
    answer = understand(text, cut=False, state=state, context=context)
    assert isinstance(answer, Answer)
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
