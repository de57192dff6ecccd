"""What every search provider does: a query in, hits with their source out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class TextHit:
    """One text result; `source` is a URL or a document id, `score` is comparable within one result list only."""

    title: str
    snippet: str
    source: str
    score: float


@dataclass(frozen=True)
class ImageHit:
    """One image result: the name of what it shows and the local file that holds it."""

    name: str
    path: Path
    source: str
    score: float


class SearchProvider(Protocol):
    """Search text and images; raise SearchError or KnowledgeBaseError when the provider itself fails."""

    name: str

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first; an empty list if nothing was found."""
        ...

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` image hits, best first; an empty list if nothing was found."""
        ...
