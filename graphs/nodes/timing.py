"""Measure every node and say so; the seconds go to state, where the budget reads them."""

from functools import wraps
from time import perf_counter
from typing import Protocol, TypeVar

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.context import Context, emit
from graphs.events import Ended, NodeFinished
from graphs.state import State

Goto = TypeVar("Goto", bound=str)


class Node(Protocol[Goto]):
    """A node of the graph; LangGraph passes the runtime by name."""

    async def __call__(self, state: State, runtime: Runtime[Context]) -> Command[Goto]:
        """Run the node and say where to go next."""
        ...


def timed(function: Node[Goto]) -> Node[Goto]:
    """Wrap a node: add its seconds to the state, report them, and report the end of the episode after its last node.

    The node must return a `Command` whose update is a dictionary.
    """
    name = getattr(function, "__name__", "node")

    @wraps(function)
    async def node(state: State, runtime: Runtime[Context]) -> Command[Goto]:
        start = perf_counter()
        command = await function(state, runtime)
        seconds = perf_counter() - start
        assert isinstance(command.update, dict)
        command.update["seconds"] = {name: seconds}
        emit(runtime, NodeFinished(name, seconds))
        if command.goto == END:
            failure = command.update.get("failure", state.get("failure", {}))
            ending = command.update.get("ending", state.get("ending", ""))
            emit(runtime, Ended(ending, failure if ending.endswith("_broken") else {}))
        if runtime.context.journal is not None:
            command.update["told"] = runtime.context.journal.take()
        return command

    return node
