"""The state machine: plan, search, observe, reason, localize; compare and ask only where a person may be asked.

Inference, evaluation and training rollouts all run this compiled graph; they differ only in the Context.
Edges are the `Literal`s of the nodes' Commands, so the graph draws itself.
"""

from collections.abc import Mapping
from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs.context import Context
from graphs.nodes.ask import ask
from graphs.nodes.compare import compare
from graphs.nodes.localize import localize
from graphs.nodes.observe import observe
from graphs.nodes.plan import plan
from graphs.nodes.reason import reason
from graphs.nodes.search import search
from graphs.state import Input, State

NODES: Mapping[str, Any] = {
    "plan": plan,
    "search": search,
    "observe": observe,
    "reason": reason,
    "compare": compare,
    "ask": ask,
    "localize": localize,
}
"""All nodes by name; each says itself where it goes next."""

Graph = CompiledStateGraph[State, Context, Input, State]


def build_graph(checkpointer: Any = None) -> Graph:
    """Compile the graph, with a LangGraph checkpointer if episodes must survive their process."""
    builder = StateGraph(State, context_schema=Context, input_schema=Input)
    for name, node in NODES.items():
        builder.add_node(name, node)
    builder.add_edge(START, "plan")
    return builder.compile(checkpointer=checkpointer, name="segscout")


graph = build_graph()
"""The compiled graph without a checkpointer, as `run_episode` uses it."""
