"""Choose what to search by what the command line and the settings say: a knowledge base, or the open web."""

from dataclasses import dataclass
from pathlib import Path

from tools.errors import InputError
from tools.search import CacheMode, load_search
from tools.search.base import SearchProvider
from tools.settings import Settings

KB = "kb"
WEB_SECONDS = 45.0
"""Time limit of one round of web searches, retries included."""


@dataclass(frozen=True)
class SearchRequest:
    """What the command line says of searching; None is "not said", so the settings decide."""

    name: str | None = None
    kb: Path | None = None
    cache: CacheMode | None = None
    folder: Path | None = None
    calls: int | None = None
    read_pages: bool | None = None


@dataclass(frozen=True)
class SearchChoice:
    """The folder of a knowledge base, a web search, or neither."""

    kb: Path | None = None
    web: SearchProvider | None = None


def choose(request: SearchRequest, settings: Settings) -> SearchChoice:
    """Return what to search with; InputError for two, for an unknown name, and for what a web search lacks.

    A search that is named wins over a knowledge base that only the settings name.
    """
    name = request.name or settings.search
    if name is None or name == KB:
        kb = request.kb or settings.kb
        if name == KB and kb is None:
            raise InputError("there is no knowledge base to search.", remedy="Name its folder with --kb.")
        return SearchChoice(kb=kb)
    if request.kb is not None:
        raise InputError("there are two things to search.", remedy="Give --kb, or another --search than kb.")
    web = load_search(
        name,
        request.folder or settings.search_folder,
        key=getattr(settings, f"{name}_key", None),
        cache=request.cache or settings.search_cache,
        calls=request.calls or settings.search_calls,
        read_pages=settings.read_pages if request.read_pages is None else request.read_pages,
    )
    return SearchChoice(web=web)
