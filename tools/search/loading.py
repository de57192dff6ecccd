"""Providers of web search by name, with everything around them: retries, budget, and recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from tools.errors import InputError
from tools.search.base import SearchProvider

if TYPE_CHECKING:
    from tools.web import Fetcher
    from tools.web.pictures import PictureFetcher

CacheMode = Literal["record", "replay", "off"]
"""Ask what is not recorded and record it; never ask; neither read nor write recordings."""


@dataclass(frozen=True)
class _Known:
    build: Callable[[SecretStr, PictureFetcher, Mapping[str, Any]], SearchProvider]
    options: frozenset[str]
    needs_key: bool = True
    version: str = "1"
    """Goes up when the same reply would become other hits: older recordings are no answer then."""


def load_search(
    name: str,
    folder: Path,
    *,
    key: SecretStr | None = None,
    cache: CacheMode = "off",
    calls: int = 200,
    at_once: int = 4,
    read_pages: bool = False,
    options: Mapping[str, str] | None = None,
    fetcher: Fetcher | None = None,
) -> SearchProvider:
    """Make the web search called `name`: tavily, serper or duckduckgo.

    Pictures that are found are kept in `folder`, and recordings, if `cache` is not off; on `replay` neither a key nor
    the provider's library is needed, and nothing is sent. A run sends at most `calls` requests, and all together
    `at_once` at a time. With `read_pages`, the pages of the texts found are read, too, at no cost but time. `options`
    are the provider's: depth (tavily); country, language (serper); engine, region (duckduckgo). Raises InputError for
    an unknown name or option, a missing key, or a missing library, named with its extra.
    """
    known = PROVIDERS.get(name)
    if known is None:
        raise InputError(f"there is no web search {name!r}.", remedy=f"Choose one of {', '.join(PROVIDERS)}.")
    chosen = dict(options or {})
    if unknown := sorted(set(chosen) - known.options):
        remedy = f"It knows {', '.join(sorted(known.options))}."
        raise InputError(f"{name} knows no option {unknown[0]!r}.", remedy=remedy)
    # Imported late, here and below: this package is imported by all that search, the knowledge base among them, and
    # the web takes a while to load.
    from tools.search.budgeted import BudgetedSearch
    from tools.search.cached import CachedSearch
    from tools.search.retrying import RetryingSearch
    from tools.web import Fetcher
    from tools.web.pictures import PictureFetcher

    provider: SearchProvider | None = None
    if cache != "replay":
        secret = _key(name, key) if known.needs_key else SecretStr("")
        fetcher = fetcher or Fetcher()
        made = known.build(secret, PictureFetcher(fetcher, folder / "pictures"), chosen)
        provider = RetryingSearch(BudgetedSearch(made, calls=calls, at_once=at_once))
        if read_pages:
            provider = _reading(provider, fetcher)
        if cache == "off":
            return provider
    told = chosen | ({"pages": "read"} if read_pages else {})
    return CachedSearch(provider, folder, name=name, version=known.version, options=told)


def _reading(provider: SearchProvider, fetcher: Fetcher) -> SearchProvider:
    from tools.search.reading import ReadingSearch
    from tools.web.pages import PageReader

    return ReadingSearch(provider, PageReader(fetcher))


def _key(name: str, key: SecretStr | None) -> SecretStr:
    if key is None or not key.get_secret_value().strip():
        remedy = f"Set SEGSCOUT_{name.upper()}_KEY in the environment or in .env."
        raise InputError(f"searching with {name} needs a key.", remedy=remedy)
    return SecretStr(key.get_secret_value().strip())


def _tavily(key: SecretStr, pictures: PictureFetcher, options: Mapping[str, Any]) -> SearchProvider:
    from tools.search.tavily import TavilySearch

    return TavilySearch(key, pictures, **options)


def _serper(key: SecretStr, pictures: PictureFetcher, options: Mapping[str, Any]) -> SearchProvider:
    from tools.search.serper import SerperSearch

    return SerperSearch(key, pictures, **options)


def _duckduckgo(_: SecretStr, pictures: PictureFetcher, options: Mapping[str, Any]) -> SearchProvider:
    from tools.search.duckduckgo import DuckDuckGoSearch

    return DuckDuckGoSearch(pictures, **options)


PROVIDERS = {
    "tavily": _Known(_tavily, frozenset({"depth"})),
    "serper": _Known(_serper, frozenset({"country", "language"})),
    "duckduckgo": _Known(_duckduckgo, frozenset({"engine", "region"}), needs_key=False),
}
