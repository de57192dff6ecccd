"""observe: turn what came back into the next user turn, so that the policy is never met with silence."""

from pathlib import Path
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import LookCloser, Malformed, Search
from graphs.budget import KNOWN_SEARCH, LAST_TURN, NO_SEARCH, NO_SEARCH_LEFT, TOO_MANY
from graphs.context import Context, emit
from graphs.conversation import ImageRef, Part, Turn, join, to_plain
from graphs.dialects.base import ShownImage
from graphs.endings import Ending
from graphs.events import KeyframeShown, Repaired
from graphs.nodes.reading import as_plain, count, last_action, last_text, last_turn, spent
from graphs.nodes.timing import timed
from graphs.pictures import show_file, show_frame
from graphs.state import PlainAsk, PlainSearch, State
from tools.errors import MediaError
from tools.search.base import TextHit

Next = Literal["reason", "localize"]


@timed
async def observe(state: State, runtime: Runtime[Context]) -> Command[Next]:
    """Render search results, the keyframe or a repair hint, and the last-turn notice when it is due."""
    context = runtime.context
    ending = _ending(state, context)
    if ending is not None:
        return Command(goto="localize", update={"ending": ending.value})
    action = last_action(state, context)
    update: dict[str, Any] = {}
    try:
        match action:
            case Search():
                pieces = _results(state, context)
            case LookCloser(frame):
                pieces = [_keyframe(frame, runtime, update)]
            case Malformed():
                emit(runtime, Repaired(action.reason, action.hint))
                pieces = [context.dialect.repair(action)]
            case _:  # an answer leads to localize, never here
                raise AssertionError(action)
    except MediaError as error:
        return Command(goto="localize", update={"ending": Ending.MEDIA_BROKEN.value, "failure": as_plain(error)})
    notices = [*(_refusals(state) if isinstance(action, Search) else ()), *_last(state, context)]
    observation = context.dialect.observation(last_text(state), pieces)
    told = [context.dialect.notice(text) for text in notices]
    update["turns"] = [to_plain(Turn("user", join(observation, *told)))]
    return Command(goto="reason", update=update)


def _ending(state: State, context: Context) -> Ending | None:
    if count(state, "failed_rounds") > context.budget.tool_failures:
        return Ending.TOOL_BROKEN
    if count(state, "refused") > 1:
        return Ending.SEARCHES_SPENT
    return spent(state, context)


def _keyframe(frame: int, runtime: Runtime[Context], update: dict[str, Any]) -> tuple[Part, ...]:
    context = runtime.context
    shown, picture = show_frame(context, frame, context.dialect.view.keyframe_size)
    update |= {"looked": [frame], "pictures": {shown.image.sha256: picture}}
    emit(runtime, KeyframeShown(frame, shown.image.sha256))
    return context.dialect.keyframe(shown)


def _results(state: State, context: Context) -> list[tuple[Part, ...]]:
    """Render each query's results; several queries of one turn are told apart."""
    asked = state["asked"]
    return [_result(ask, state["searches"], context, several=len(asked) > 1) for ask in asked]


def _refusals(state: State) -> list[str]:
    """Return why queries of the last turn were not run, each reason once."""
    fates = {ask["fate"] for ask in state["asked"]}
    told = {"too_many": TOO_MANY, "refused": NO_SEARCH_LEFT, "off": NO_SEARCH}
    return [text for fate, text in told.items() if fate in fates]


def _last(state: State, context: Context) -> list[str]:
    return [LAST_TURN] if last_turn(state, context) else []


def _result(ask: PlainAsk, searches: list[PlainSearch], context: Context, *, several: bool) -> tuple[Part, ...]:
    dialect = context.dialect
    if ask["search"] < 0:
        return ()
    found = searches[ask["search"]]
    pieces: list[tuple[Part, ...]] = []
    if several:
        pieces.append(dialect.notice(f"{found['tool']} {found['query']}:"))
    if ask["fate"] == "failed":
        pieces.append(dialect.notice(f"The search failed: {found['error']}"))
        return join(*pieces)
    if ask["fate"] == "cached":
        pieces.append(dialect.notice(KNOWN_SEARCH))
    first = 1 + sum(len(earlier["hits"]) for earlier in searches[: ask["search"]])
    if found["tool"] == "text_search":
        hits = [TextHit(h["title"], h["snippet"], h["source"], h["score"]) for h in found["hits"]]
        pieces.append(dialect.text_results(hits, first=first))
    else:
        pieces.append(dialect.image_results(_shown(found, context), first=first))
    return join(*pieces)


def _shown(found: PlainSearch, context: Context) -> list[ShownImage]:
    side = context.dialect.view.image_size
    for hit in found["hits"]:
        if hit["sha256"] not in context.images:  # resumed in a new process
            show_file(context, Path(hit["path"]), side)
    return [ShownImage(hit["title"], ImageRef(hit["sha256"], side, side)) for hit in found["hits"]]
