"""Knowledge bases: what can be looked up without the net."""

from tools.knowledge.fusion import Weights
from tools.knowledge.knowledge_base import ImageMatch, KnowledgeBase
from tools.knowledge.records import ImageRecord, TextRecord

__all__ = ["ImageMatch", "ImageRecord", "KnowledgeBase", "TextRecord", "Weights"]
