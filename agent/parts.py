"""Choose the parts of an agent by what people write: names, addresses, folders, or objects made elsewhere."""

from pathlib import Path

from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.search.base import SearchProvider
from tools.search.knowledge_base import KnowledgeBaseSearch
from tools.segmenters import load_segmenter
from tools.segmenters.base import Segmenter


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
