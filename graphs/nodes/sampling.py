"""Sample one turn of the policy and decide where it leads; `plan` and `reason` differ only in what comes before."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import Action, Answer, Malformed, Search
from graphs.context import Context, emit
from graphs.conversation import Text, Turn, from_plain, to_plain
from graphs.endings import Ending
from graphs.events import TurnSampled
from graphs.nodes.reading import as_plain, count, elapsed, last_turn, understand
from graphs.policies.base import Completion, NoRoomError, Sampling
from graphs.spans import call_span
from graphs.state import State
from tools.errors import PolicyError, boundary

Next = Literal["search", "observe", "compare", "localize"]

STRIDE = 1_327_217_909
"""Every turn samples with a seed of its own. At the same turn, episodes whose seeds follow on one another have seeds
that do: a server can draw for all of them at once."""
_TURNS = 1_000


async def sample_turn(
    node: str, state: State, runtime: Runtime[Context], opening: Sequence[Turn] = ()
) -> Command[Next]:
    """Append `opening` and one sampled turn to the conversation, and go where its action leads.

    A policy that fails, and time that runs out, close the episode under their own names. A first turn for which there
    is no room was set up wrongly; later ones are what the policy asked to see, and tokens that it spent.
    """
    context = runtime.context
    update: dict[str, Any] = {"turns": [to_plain(turn) for turn in opening]}
    conversation = [*(from_plain(turn) for turn in state.get("turns", [])), *opening]
    start = perf_counter()
    try:
        completion = await complete(state, context, conversation)
    except PolicyError as error:
        outgrown = isinstance(error, NoRoomError) and count(state, "turns") > 0
        ending = Ending.TOKENS_SPENT if outgrown else Ending.POLICY_BROKEN
        return Command(goto="localize", update={**update, "ending": ending.value, "failure": as_plain(error)})
    if completion is None:
        return Command(goto="localize", update={**update, "ending": Ending.SECONDS_SPENT.value})
    seconds = perf_counter() - start
    cut = completion.finish_reason == "length"
    action = understand(completion.text, cut=cut, state=state, context=context)
    sampled = Turn("assistant", (Text(completion.text),), completion.token_ids, completion.logprobs)
    update["turns"].append(to_plain(sampled))
    update["cut"] = cut
    update["counts"] = {
        "turns": 1,
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "malformed": int(isinstance(action, Malformed)),
    }
    emit(runtime, _event(node, count(state, "turns"), completion, action, seconds))
    due = _ending(action, completion, state, context, seconds)
    if due is not None:
        update["ending"] = due.value
    return Command(goto="localize" if due else _next(action, context), update=update)


async def complete(
    state: State, context: Context, conversation: Sequence[Turn], *, again: int = 0, temperature: float | None = None
) -> Completion | None:
    """Ask the policy within what tokens and seconds are left; None if the time ran out.

    `again` counts turns that are sampled only to be compared, each with a seed of its own. Raises PolicyError.
    """
    budget, turn = context.budget, count(state, "turns")
    seed = context.sampling.seed + STRIDE * (_TURNS - again if again else turn)
    tools = context.dialect.tools(search=context.search is not None, last=last_turn(state, context))
    sampling = replace(context.sampling, seed=seed, tools=tools)
    if temperature is not None:
        sampling = replace(sampling, temperature=temperature)
    limit = asyncio.timeout(max(budget.seconds - elapsed(state), 0.001))
    max_tokens = min(budget.turn_tokens, budget.tokens - count(state, "completion_tokens"))
    try:
        with boundary(PolicyError, f"{context.policy.name} failed", remedy="Run again with --debug to see where."):
            async with limit:
                return await _ask(context, conversation, max_tokens, sampling)
    except PolicyError:
        if limit.expired():
            return None
        raise


async def _ask(context: Context, conversation: Sequence[Turn], max_tokens: int, sampling: Sampling) -> Completion:
    """Ask the policy, in a span of its own."""
    policy = context.policy
    with call_span("policy", {"gen_ai.operation.name": "chat", "gen_ai.request.model": policy.name}) as describe:
        completion = await policy.complete(
            conversation, context.images, max_tokens=max_tokens, stop=context.dialect.stop, sampling=sampling
        )
        describe(
            {
                "gen_ai.usage.input_tokens": completion.prompt_tokens,
                "gen_ai.usage.output_tokens": completion.completion_tokens,
                "segscout.finish_reason": completion.finish_reason,
            }
        )
        return completion


def _next(action: Action, context: Context) -> Next:
    if isinstance(action, Answer):
        return "compare" if context.clarify else "localize"
    return "search" if isinstance(action, Search) else "observe"


def _ending(action: Action, completion: Completion, state: State, context: Context, seconds: float) -> Ending | None:
    """Return the ending that this turn brings about, if it is no answer and nothing may follow it."""
    if isinstance(action, Answer):
        return None
    malformed = isinstance(action, Malformed)
    if malformed and count(state, "malformed") >= context.budget.repairs:
        return Ending.MALFORMED
    ending = context.budget.spent(
        turns=count(state, "turns") + 1,
        tokens=count(state, "completion_tokens") + completion.completion_tokens,
        seconds=elapsed(state) + seconds,
    )
    return Ending.MALFORMED if malformed and ending is Ending.TURNS_SPENT else ending


def _event(node: str, turn: int, completion: Completion, action: Action, seconds: float) -> TurnSampled:
    return TurnSampled(
        node,
        turn,
        completion.text,
        action,
        completion.finish_reason,
        completion.prompt_tokens,
        completion.completion_tokens,
        seconds,
    )
