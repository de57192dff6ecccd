"""Results of web providers as hits: links that are links, texts that are short, pictures that are local files."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from tools.errors import FetchError, MediaError
from tools.search.base import ImageHit, TextHit
from tools.search.knowledge_base import SNIPPET, cut
from tools.web.pictures import PictureFetcher
from tools.web.urls import as_link

_log = logging.getLogger(__name__)

MAX_QUERY = 400
"""Characters of a query, the most that every provider takes."""

_MAX_TITLE = 200
_SPARE = 4
_NO_TITLE = "(no title)"


@dataclass(frozen=True)
class Found:
    """One result as a provider names it: `picture` is the URL of an image result, `score` the provider's own or 0."""

    title: str | None
    url: str | None
    snippet: str | None = ""
    picture: str | None = ""
    score: float = 0.0


def as_query(query: str) -> str:
    """Return what is sent of a query: one line, and not too long."""
    return " ".join(query.split())[:MAX_QUERY]


def as_text_hits(results: Iterable[Found], limit: int, snippet: int = SNIPPET) -> list[TextHit]:
    """Return the first `limit` results that have a link; a score that the provider does not give falls with the rank.

    Titles and snippets (of at most `snippet` characters) stay foreign text, which the dialects neutralise.
    """
    hits: list[TextHit] = []
    for found in results:
        link = as_link(found.url or "")
        if link and len(hits) < limit:
            text = cut(" ".join((found.snippet or "").split()), snippet)
            hits.append(TextHit(_title(found), text, link, found.score or 1 / (len(hits) + 1)))
    return hits


async def as_image_hits(results: Iterable[Found], limit: int, pictures: PictureFetcher) -> list[ImageHit]:
    """Fetch the pictures of the first results and return at most `limit`, best first.

    A few more are fetched than asked for, at the same time, since what cannot be fetched or read is left out.
    """
    unique: dict[str, Found] = {}
    for found in results:
        if found.picture:
            unique.setdefault(found.picture, found)
    candidates = list(unique.values())[: limit + _SPARE]
    kept = await asyncio.gather(*(_keep(found, rank, pictures) for rank, found in enumerate(candidates, start=1)))
    return [hit for hit in kept if hit is not None][:limit]


async def _keep(found: Found, rank: int, pictures: PictureFetcher) -> ImageHit | None:
    try:
        path = await pictures.fetch(found.picture or "")
    except (FetchError, MediaError) as error:
        _log.info("left out picture %d of a search: %s", rank, error)
        return None
    source = as_link(found.url or "") or as_link(found.picture or "")
    return ImageHit(_title(found), path, source, found.score or 1 / rank)


def _title(found: Found) -> str:
    return cut(" ".join((found.title or "").split()), _MAX_TITLE) or _NO_TITLE
