"""How it thinks: state machine, nodes, dialects, policies, the conversation."""

import os

# Read by LangGraph when it is imported: checkpoints may hold plain data only, so a poisoned one cannot run code.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
