"""Search a local knowledge base through the protocol that web searches share."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.search.base import ImageHit, TextHit

_Hits = TypeVar("_Hits")

SNIPPET = 320
"""Characters of a snippet, the ellipsis included: what Seg-ReSearch shows its policy."""

_QUICK_RECORDS = 20_000


class KnowledgeBaseSearch:
    """Search a KnowledgeBase: sources are `kb:text/ID` and `kb:image/ID`."""

    name = "knowledge_base"

    def __init__(self, knowledge_base: KnowledgeBase, *, snippet: int = SNIPPET, in_thread: bool | None = None) -> None:
        """Search `knowledge_base`, with snippets of at most `snippet` characters; InputError if that is below 1.

        `in_thread` runs each search in a worker thread. By default only slow ones do: a search by hashing in a few
        thousand records takes about a millisecond, mostly under Python's lock, so a thread would only add its own
        0.2 ms; an encoder or a large index takes ten and more outside the lock, and must not hold up the event loop.
        """
        if snippet < 1:
            raise InputError(f"a snippet cannot have {snippet} characters.", remedy="Ask for at least 1.")
        records = max(len(knowledge_base.texts), len(knowledge_base.images))
        slow = knowledge_base.embedder.name != "hashing" or records > _QUICK_RECORDS
        self.knowledge_base = knowledge_base
        self.snippet = snippet
        self.in_thread = slow if in_thread is None else in_thread

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first; EmbedderError if the embedder fails."""
        hits = await self._run(self.knowledge_base.search_text, query, limit)
        return [replace(hit, snippet=cut(hit.snippet, self.snippet)) for hit in hits]

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` image hits, best first; KnowledgeBaseError if a picture is missing."""
        return await self._run(self.knowledge_base.search_images, query, limit)

    async def _run(self, search: Callable[[str, int], _Hits], query: str, limit: int) -> _Hits:
        return await asyncio.to_thread(search, query, limit) if self.in_thread else search(query, limit)


def cut(text: str, length: int) -> str:
    """Shorten `text` to at most `length` characters, the last one an ellipsis if anything is missing."""
    return text if len(text) <= length else text[: length - 1] + "…"
