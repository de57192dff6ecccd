"""The second state machine: describe, shortlist, reason, align, compose, locate, segment, fuse.

Edges are the `Literal`s of the nodes' Commands, so the graph draws itself (`graph.get_graph().draw_mermaid()`).
"""

from typing import Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs.openvocab.context import OpenVocabularyContext
from graphs.openvocab.nodes.describing import align, compose
from graphs.openvocab.nodes.reasoning import describe, reason, shortlist
from graphs.openvocab.nodes.regions import fuse, locate, segment
from graphs.openvocab.state import VocabularyInput, VocabularyState

VocabularyGraph = CompiledStateGraph[VocabularyState, OpenVocabularyContext, VocabularyInput, VocabularyState]


def build_graph(checkpointer: Any = None) -> VocabularyGraph:
    """Compile the graph, with a LangGraph checkpointer if runs must survive their process."""
    builder = StateGraph(VocabularyState, context_schema=OpenVocabularyContext, input_schema=VocabularyInput)
    builder.add_node("describe", describe)
    builder.add_node("shortlist", shortlist)
    builder.add_node("reason", reason)
    builder.add_node("align", align)
    builder.add_node("compose", compose)
    builder.add_node("locate", locate)
    builder.add_node("segment", segment)
    builder.add_node("fuse", fuse)
    builder.add_edge(START, "describe")
    return builder.compile(checkpointer=checkpointer, name="openvocab")


graph = build_graph()
"""The compiled graph without a checkpointer."""
