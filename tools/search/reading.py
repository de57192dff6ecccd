"""Read the pages that a search found, and show the passage that the query is about instead of the engine's snippet."""

import asyncio
import re
from dataclasses import replace

from tools.errors import FetchError
from tools.search.base import ImageHit, SearchProvider, TextHit
from tools.search.knowledge_base import SNIPPET, cut
from tools.web.pages import PageReader

_WORD = re.compile(r"\w{3,}")


class ReadingSearch:
    """Pass searches on, and read the pages of the texts found; only pages that the provider named are read."""

    def __init__(self, inner: SearchProvider, reader: PageReader, *, passage: int = SNIPPET) -> None:
        """Show at most `passage` characters of a page."""
        self.name = inner.name
        self._inner = inner
        self._reader = reader
        self._passage = passage

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return the provider's hits; one whose page cannot be read, or says nothing of the query, stays as it is."""
        hits = await self._inner.search_text(query, limit)
        return list(await asyncio.gather(*(self._read(query, hit) for hit in hits)))

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return the provider's hits."""
        return await self._inner.search_images(query, limit)

    async def _read(self, query: str, hit: TextHit) -> TextHit:
        try:
            page = await self._reader.read(hit.source)
        except FetchError:
            return hit
        return replace(hit, snippet=passage_about(query, page.text, self._passage) or hit.snippet)


def passage_about(query: str, text: str, length: int) -> str:
    """Return the lines of `text` with most of the words of `query`, at most `length` characters; "" if none has any.

    The earliest passage wins among equals. Words shorter than three letters do not count.
    """
    wanted = set(_WORD.findall(query.casefold()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    best, passage = 0, ""
    for start in range(len(lines)):
        candidate = cut(" ".join(filter(None, lines[start : start + length])), length)
        found = len(wanted & set(_WORD.findall(candidate.casefold())))
        if found > best:
            best, passage = found, candidate
    return passage
