"""Run an episode as a thread: what was done is kept after every node, and the next call goes on from there."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from langsmith import tracing_context

from graphs.candidates import question_of
from graphs.checkpoints import Held
from graphs.context import Context
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, collect, prepare
from graphs.events import Event
from graphs.graph import Graph, build_graph
from graphs.journal import Journal
from graphs.nodes.reading import elapsed, spent
from graphs.state import Input, State
from tools.errors import InputError
from tools.search.cached import CachedSearch

_ANOTHER = "Use the same as before, or name another thread."
_SPENT = frozenset({Ending.TURNS_SPENT, Ending.TOKENS_SPENT, Ending.SECONDS_SPENT})


@dataclass(frozen=True)
class _Start:
    """How to go on: with which input, from which checkpoint; or not at all."""

    input: Input | Command[Any] | None
    config: RunnableConfig
    over: bool = False


async def stream_thread(
    task: Task, context: Context, held: Held, thread_id: str, choice: int | None = None
) -> AsyncIterator[Event | EpisodeResult]:
    """Run the thread's task from where it stands, yielding each new event as it happens and the result last.

    A new thread starts; one that was cut short goes on at the node in which it stopped; one that ended because a part
    broke, or a budget was spent that is larger now, repeats what came to nothing; one that is through is not run, its
    result is returned; one that waits with a question goes on with `choice`, which may be given again later. Raises
    InputError if the thread is about something else, or there is no such choice, and CheckpointError if its checkpoints
    cannot be used.
    """
    app = build_graph(held.saver)
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
    own = prepare(task, context)
    if held.folder is not None and own.search is not None:
        # What a search brought is on the disk before its node is through, so that a kill there does not cost it again.
        own = replace(own, search=CachedSearch(own.search, held.folder, name=own.search.name, version="1", options={}))
    with tracing_context(enabled=False):
        before = cast(State, (await app.aget_state(config)).values)
        own = replace(own, journal=Journal(elapsed(before)))
        start = await _find_start(app, config, task, own, choice)
        if not start.over:
            modes: Any = app.astream(start.input, start.config, context=own, stream_mode="custom", durability="sync")
            async for event in modes:
                yield cast(Event, event)
        result = collect(cast(State, (await app.aget_state(config)).values), own)
    if start.over and result.question is not None:
        yield result.question
    yield result


async def _find_start(app: Graph, config: RunnableConfig, task: Task, context: Context, choice: int | None) -> _Start:
    snapshot = await app.aget_state(config)
    state = cast(State, snapshot.values)
    waits = "ask" in snapshot.next
    if choice is not None and not waits and choice != state.get("chosen"):
        raise InputError("the thread has no question open.", remedy="Ask without a choice.")
    if not state.get("query"):  # unknown, or cut short before anything was done
        fresh: Input = {"query": task.query.strip(), "media": task.fingerprint, "dialect": context.dialect.name}
        return _Start(fresh, config)
    _check_same(state, task, context)
    if waits:
        return _Start(None, config, over=True) if choice is None else _Start(_chosen(state, choice), config)
    if snapshot.next:
        return _Start(None, config)
    back = await _before_the_end(app, config, state, context)
    return _Start(None, config, over=True) if back is None else _Start(None, back)


def _check_same(state: State, task: Task, context: Context) -> None:
    """Raise InputError unless the thread is about this task."""
    asked = {"query": task.query.strip(), "media": task.fingerprint, "dialect": context.dialect.name}
    for name, value in asked.items():
        if state.get(name) != value:
            raise InputError(f"the thread was begun with another {name}.", remedy=_ANOTHER)


def _chosen(state: State, choice: int) -> Command[Any]:
    count = len(question_of(state).choices)
    if not 0 <= choice <= count:
        raise InputError(f"there is no choice {choice}.", remedy=f"Choose 1 to {count}, or 0 for none of them.")
    return Command(resume=choice)


async def _before_the_end(app: Graph, config: RunnableConfig, state: State, context: Context) -> RunnableConfig | None:
    """Return the checkpoint before the node that came to nothing; None if the thread is through.

    After a broken or a refused search that is the search itself, since it was only found out later that nothing
    follows it.
    """
    ending = Ending(state["ending"])
    if ending is Ending.SEARCHES_SPENT:
        repeats = len(state.get("searches", [])) < context.budget.searches
    else:
        repeats = ending.broken or (ending in _SPENT and spent(state, context) is None)
    if not repeats:
        return None
    searched = ending in (Ending.TOOL_BROKEN, Ending.SEARCHES_SPENT)
    async for snapshot in app.aget_state_history(config):
        due = snapshot.next == ("search",) if searched else "ending" not in snapshot.values
        if snapshot.next and due:
            return snapshot.config
    return None
