"""How people use it: describe a thing, get its mask with the evidence.

Names are imported when they are first used, so that `from agent import SegmentationAgent` costs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.agent import SegmentationAgent
    from agent.result import Failure, Instance, Masks, Result
    from agent.versions import Versions
    from graphs.budget import Budget
    from graphs.candidates import Clarify
    from graphs.endings import Ending
    from graphs.episode import Evidence, Usage
    from graphs.events import Choice, Question
    from tools.errors import SegscoutError

_HOMES = {
    "SegmentationAgent": "agent.agent",
    "Budget": "graphs.budget",
    "Choice": "graphs.events",
    "Clarify": "graphs.candidates",
    "Ending": "graphs.endings",
    "Evidence": "graphs.episode",
    "Failure": "agent.result",
    "Instance": "agent.result",
    "Masks": "agent.result",
    "Question": "graphs.events",
    "Result": "agent.result",
    "SegscoutError": "tools.errors",
    "Usage": "graphs.episode",
    "Versions": "agent.versions",
}

__all__ = [
    "Budget",
    "Choice",
    "Clarify",
    "Ending",
    "Evidence",
    "Failure",
    "Instance",
    "Masks",
    "Question",
    "Result",
    "SegmentationAgent",
    "SegscoutError",
    "Usage",
    "Versions",
]


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
