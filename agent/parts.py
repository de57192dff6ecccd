"""Choose the parts of an agent by what people write: names, addresses, folders, or objects made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.search.base import SearchProvider
from tools.search.knowledge_base import KnowledgeBaseSearch
from tools.segmenters import load_segmenter
from tools.segmenters.base import Segmenter

if TYPE_CHECKING:
    from graphs.checkpoints import Threads


def choose_segmenter(segmenter: str | Segmenter | None, *, model: str | None, device: str | None) -> Segmenter | None:
    """Return the segmenter by name, or the object as it is; InputError or SegmenterError if it cannot be had."""
    if not isinstance(segmenter, str):
        return segmenter
    if segmenter == "grabcut" and model is not None:
        raise InputError("grabcut has no model to choose.", remedy="Leave out --sam2-model, or use --segmenter sam2.")
    return load_segmenter(segmenter, model, device)


def choose_search(
    knowledge_base: str | Path | KnowledgeBase | None, search: SearchProvider | None
) -> SearchProvider | None:
    """Return what to search with, None for nothing; InputError for two, KnowledgeBaseError for a broken folder."""
    if knowledge_base is None:
        return search
    if search is not None:
        raise InputError("there are two things to search.", remedy="Give a knowledge base or a search provider.")
    if not isinstance(knowledge_base, KnowledgeBase):
        knowledge_base = KnowledgeBase.open(knowledge_base)
    return KnowledgeBaseSearch(knowledge_base)


def choose_threads(checkpoints: str | Path | None, *, clarify: bool) -> Threads | None:
    """Return where threads are kept: in the file, in memory for questions alone, or nowhere."""
    if checkpoints is None and not clarify:
        return None
    from graphs.checkpoints import FileThreads, MemoryThreads  # late: SQLite is of no use to those who keep nothing

    return MemoryThreads() if checkpoints is None else FileThreads(checkpoints)
