"""Measure every node, say so, and close a run under its own name when a part of the system breaks."""

from functools import wraps
from time import perf_counter
from typing import Any, Protocol, TypeVar

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.endings import Ending
from graphs.events import Ended, NodeFinished
from graphs.openvocab.context import OpenVocabularyContext, emit
from graphs.openvocab.state import VocabularyState
from tools.errors import PolicyError, SegscoutError

Goto = TypeVar("Goto", bound=str)


class Node(Protocol[Goto]):
    """A node of the graph; LangGraph passes the runtime by name."""

    async def __call__(self, state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Goto]:
        """Run the node and say where to go next."""
        ...


def timed(function: Node[Goto]) -> Node[Goto]:
    """Wrap a node: add its seconds to the state and report them, and turn an error of ours into the run's ending.

    The node must return a `Command` whose update is a dictionary.
    """
    name = getattr(function, "__name__", "node")

    @wraps(function)
    async def node(state: VocabularyState, runtime: Runtime[OpenVocabularyContext]) -> Command[Goto]:
        start = perf_counter()
        command: Command[Any]
        try:
            command = await function(state, runtime)
        except SegscoutError as error:
            ending = Ending.POLICY_BROKEN if isinstance(error, PolicyError) else Ending.SEGMENTER_BROKEN
            failure = {"boundary": error.boundary, "message": error.message, "remedy": error.remedy}
            command = Command(goto=END, update={"ending": ending.value, "failure": failure})
        assert isinstance(command.update, dict)
        seconds = perf_counter() - start
        command.update["seconds"] = {name: seconds}
        emit(runtime, NodeFinished(name, seconds))
        if command.goto == END:
            emit(runtime, Ended(command.update["ending"], command.update.get("failure", {})))
        return command

    return node
