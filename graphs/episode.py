"""Run one episode: the one way in which agent, evaluations and training use the graph."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langsmith import tracing_context

from graphs.context import Context
from graphs.conversation import Turn, from_plain
from graphs.endings import Ending
from graphs.events import Event
from graphs.graph import Graph, graph
from graphs.masks import MaskStore
from graphs.state import Input, PlainFailure, PlainInstance, State
from tools.errors import InputError
from tools.image_store import ImageStore
from tools.segmenters.base import Box, Frames

MAX_QUERY_CHARS = 4_000


@dataclass(frozen=True)
class Task:
    """Media (frames; one frame is an image) and what to find in them."""

    query: str
    media: Frames


@dataclass(frozen=True)
class Evidence:
    """What a search brought, and who says so; `claim` is what was asked, not what the source claims.

    What it does claim stands in `snippet`; `picture` refers to the image store.
    """

    claim: str
    tool: str
    title: str
    source: str
    snippet: str
    turn: int
    picture: str = ""


@dataclass(frozen=True)
class Instance:
    """One answered object, in pixels of the original keyframe; `score` is the segmenter's estimate, 0 to 1."""

    label: str
    box: Box | None
    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class Usage:
    """What the episode cost; `prompt_tokens` counts the prompt of every turn, `seconds` are per node."""

    turns: int
    searches: int
    cache_hits: int
    failed_searches: int
    malformed: int
    prompt_tokens: int
    completion_tokens: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended and all that it brought."""

    query: str
    ending: Ending
    failure: PlainFailure | None
    """Set if a part of the system broke: boundary, message and remedy."""
    keyframe: int | None
    instances: tuple[Instance, ...]
    masks: MaskStore
    evidence: tuple[Evidence, ...]
    conversation: tuple[Turn, ...]
    images: ImageStore
    """The pictures that the conversation refers to."""
    usage: Usage

    @property
    def found(self) -> bool:
        """Whether there is at least one instance, and nothing broke on the way to its masks."""
        return self.ending is Ending.FOUND


async def run_episode(
    task: Task, context: Context, *, app: Graph = graph, config: RunnableConfig | None = None, resume: bool = False
) -> EpisodeResult:
    """Run one task to its ending; a failing policy, tool or segmenter is an ending, not an exception.

    `context` serves as a template: media, image store and mask store are this episode's own. With `resume`, `app` must
    have a checkpointer and `config` the thread_id of an episode that was cut short. Raises InputError for an empty
    query or empty media. Tracing to LangSmith stays off, whatever the environment says.
    """
    context, start = _prepare(task, context, resume=resume)
    with tracing_context(enabled=False):
        state = await app.ainvoke(start, config, context=context)
    return collect(cast(State, state), context)


async def stream_episode(
    task: Task, context: Context, *, app: Graph = graph, config: RunnableConfig | None = None, resume: bool = False
) -> AsyncIterator[Event | EpisodeResult]:
    """Run one task like `run_episode`, yielding each event as it happens and the result last."""
    context, start = _prepare(task, context, resume=resume)
    state: Any = {}
    with tracing_context(enabled=False):
        parts = app.astream(start, config, context=context, stream_mode=["custom", "values"])
        async for mode, part in parts:
            if mode == "custom":
                yield cast(Event, part)
            else:
                state = part
    yield collect(cast(State, state), context)


def collect(state: State, context: Context) -> EpisodeResult:
    """Put the result together from the final state and the episode's stores."""
    ending = Ending(state["ending"])
    counts = {name: int(value) for name, value in state.get("counts", {}).items()}
    names = ("turns", "cache_hits", "failed_searches", "malformed", "prompt_tokens", "completion_tokens")
    return EpisodeResult(
        query=state["query"],
        ending=ending,
        failure=state.get("failure") if ending.broken else None,
        keyframe=state.get("keyframe"),
        instances=tuple(_instance(plain) for plain in state.get("instances", [])),
        masks=context.masks,
        evidence=_evidence(state),
        conversation=tuple(from_plain(turn) for turn in state.get("turns", [])),
        images=context.images,
        usage=Usage(
            searches=len(state.get("searches", [])),
            seconds=state.get("seconds", {}),
            **{name: counts.get(name, 0) for name in names},
        ),
    )


def _prepare(task: Task, context: Context, *, resume: bool) -> tuple[Context, Input | None]:
    query = task.query.strip()
    if not query:
        raise InputError("the query is empty.", remedy="Say what to find.")
    if len(query) > MAX_QUERY_CHARS:
        raise InputError(
            f"the query has {len(query)} characters, {MAX_QUERY_CHARS} at most.", remedy="Say it in fewer words."
        )
    if len(task.media) == 0:
        raise InputError("the media have no frames.", remedy="Give an image or a clip.")
    own = replace(context, media=task.media, images=ImageStore(), masks=MaskStore())
    return own, None if resume else {"query": query}


def _evidence(state: State) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            found["query"], found["tool"], hit["title"], hit["source"], hit["snippet"], found["turn"], hit["sha256"]
        )
        for found in state.get("searches", [])
        for hit in found["hits"]
    )


def _instance(plain: PlainInstance) -> Instance:
    box = cast(Box, tuple(plain["box"])) if plain["box"] else None
    points = tuple((point[0], point[1]) for point in plain["points"])
    return Instance(plain["label"], box, points, tuple(plain["labels"]), plain["score"])
