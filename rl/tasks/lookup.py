"""Where the tasks of a source are looked up."""

from pathlib import Path

from evals.emblems.knowledge import EmblemSearch
from rl.tasks.base import TaskSource
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.search.base import SearchProvider
from tools.search.knowledge_base import KnowledgeBaseSearch


def search_for(source: TaskSource, knowledge: Path | None = None) -> SearchProvider:
    """Return the search for a source: the knowledge base in the folder `knowledge`, or the world that Emblems bring.

    Raises InputError if there is neither, KnowledgeBaseError if the folder is broken.
    """
    if knowledge is not None:
        return KnowledgeBaseSearch(KnowledgeBase.open(knowledge))
    if isinstance(source, EmblemsSource):
        return EmblemSearch(source.world)
    raise InputError(
        f"nothing says where to look up the tasks of {source.name}.",
        remedy="Name the folder of a knowledge base, or switch search off.",
    )
