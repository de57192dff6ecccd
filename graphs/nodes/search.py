"""search: run the queries of a turn, together, within time and budget; what was asked before is not asked again."""

import asyncio
import logging
from time import perf_counter
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import Search, SearchQuery
from graphs.context import Context, emit
from graphs.events import FoundHit, SearchFinished, SearchStarted
from graphs.nodes.reading import as_plain, count, elapsed, last_action
from graphs.nodes.timing import timed
from graphs.pictures import show_file
from graphs.spans import call_span
from graphs.state import PlainAsk, PlainFailure, PlainHit, PlainPicture, PlainSearch, State
from tools.errors import MediaError, SearchError, SegscoutError, boundary
from tools.search.base import ImageHit, SearchProvider, TextHit
from tools.search.budgeted import counted_in

_log = logging.getLogger(__name__)


@timed
async def search(state: State, runtime: Runtime[Context]) -> Command[Literal["observe"]]:
    """Answer each query of the last turn: from what is known, by the provider, or not at all, and say which."""
    context = runtime.context
    action = last_action(state, context)
    queries = action.queries if isinstance(action, Search) else ()
    known = {
        _key(found["tool"], found["query"]): i
        for i, found in enumerate(state.get("searches", []))
        if not found["error"]
    }
    left = context.budget.searches - len(state.get("searches", []))
    limit = min(context.budget.search_seconds, max(context.budget.seconds - elapsed(state), 0.001))
    asked: list[PlainAsk] = []
    running: list[SearchQuery] = []
    for query in queries:
        if context.search is None:
            asked.append({"search": -1, "fate": "off"})
        elif (found := known.get(_key(query.tool, query.query))) is not None:
            asked.append({"search": found, "fate": "cached"})
        elif len(running) >= left:
            asked.append({"search": -1, "fate": "refused"})
        elif len(running) >= context.budget.queries:
            asked.append({"search": -1, "fate": "too_many"})
        else:
            asked.append({"search": len(state.get("searches", [])) + len(running), "fate": "run"})
            running.append(query)
    for query in running:
        emit(runtime, SearchStarted(query.tool, query.query))
    provider = context.search
    rounds = [_run(query, provider, context, limit, count(state, "turns") - 1) for query in running if provider]
    finished = await asyncio.gather(*rounds)
    return Command(goto="observe", update=_settle(state, runtime, queries, asked, finished))


def _key(tool: str, query: str) -> tuple[str, str]:
    return tool, " ".join(query.casefold().split())


_Round = tuple[PlainSearch, dict[str, PlainPicture], PlainFailure | None, float]


async def _run(query: SearchQuery, provider: SearchProvider, context: Context, seconds: float, turn: int) -> _Round:
    """Run one query; a provider that fails or is too slow leaves its error in the result instead of raising."""
    start = perf_counter()
    found: PlainSearch = {"turn": turn, "tool": query.tool, "query": query.query, "hits": [], "error": ""}
    pictures: dict[str, PlainPicture] = {}
    failure: PlainFailure | None = None
    limit = asyncio.timeout(seconds)
    try:
        with boundary(SearchError, f"{provider.name} failed", remedy="Check the search provider."):
            asked = {"search.provider": provider.name, "search.tool": query.tool, "search.query": query.query}
            with call_span("search", asked) as describe, counted_in(context.requests):
                async with limit:
                    if query.tool == "text_search":
                        texts = await provider.search_text(query.query, context.text_hits)
                        found["hits"] = [_text(hit) for hit in texts[: context.text_hits]]
                    else:
                        images = await provider.search_images(query.query, context.image_hits)
                        found["hits"], pictures = _show(images[: context.image_hits], context)
                describe({"search.hits": len(found["hits"])})
    except SegscoutError as error:
        late = SearchError(f"{provider.name} gave no answer in {seconds:.3g} s.", remedy="Try again later.")
        failure = as_plain(late if limit.expired() else error)
        found["error"] = failure["message"]
    return found, pictures, failure, perf_counter() - start


def _text(hit: TextHit) -> PlainHit:
    return _hit(hit.title, hit.snippet, hit.source, hit.score)


def _hit(title: str, snippet: str, source: str, score: float, path: str = "", sha256: str = "") -> PlainHit:
    return {"title": title, "snippet": snippet, "source": source, "score": float(score), "path": path, "sha256": sha256}


def _show(hits: list[ImageHit], context: Context) -> tuple[list[PlainHit], dict[str, PlainPicture]]:
    """Store the pictures that were found; one that cannot be read is left out."""
    shown: list[PlainHit] = []
    pictures: dict[str, PlainPicture] = {}
    for hit in hits:
        try:
            image, picture = show_file(context, hit.path, context.dialect.view.image_size)
        except MediaError as error:
            _log.warning("left out a searched picture: %s", error)
            continue
        pictures[image.sha256] = picture
        shown.append(_hit(hit.name, "", hit.source, hit.score, str(hit.path), image.sha256))
    return shown, pictures


def _settle(
    state: State,
    runtime: Runtime[Context],
    queries: tuple[SearchQuery, ...],
    asked: list[PlainAsk],
    finished: list[_Round],
) -> dict[str, Any]:
    """Put the results together, report each query, and count what the endings depend on."""
    searches = [found for found, _, _, _ in finished]
    everything = [*state.get("searches", []), *searches]
    seconds = dict(enumerate((took for *_, took in finished), start=len(state.get("searches", []))))
    for query, ask in zip(queries, asked, strict=True):
        found = everything[ask["search"]] if ask["search"] >= 0 else None
        if found is not None and found["error"]:
            ask["fate"] = "failed"
        hits = tuple(FoundHit(h["title"], h["source"], h["snippet"]) for h in (found["hits"] if found else ()))
        error, took = found["error"] if found else "", seconds.get(ask["search"], 0.0)
        emit(runtime, SearchFinished(query.tool, query.query, ask["fate"], hits, took, error))
    fates = [ask["fate"] for ask in asked]
    failures = [failure for *_, failure, _ in finished if failure is not None]
    update: dict[str, Any] = {
        "searches": searches,
        "asked": asked,
        "pictures": {sha256: picture for _, pictures, _, _ in finished for sha256, picture in pictures.items()},
        "counts": {
            "cache_hits": fates.count("cached"),
            "failed_searches": fates.count("failed"),
            "failed_rounds": int(bool(fates) and set(fates) == {"failed"}),
            "refused": int(bool(fates) and set(fates) <= {"refused", "off"}),
        },
    }
    return update | ({"failure": failures[0]} if failures else {})
