"""Run one episode from start to end, as agent, evaluations and training do; `graphs.threads` can go on with one."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import StreamMode
from langsmith import tracing_context

from graphs.candidates import question_of
from graphs.context import Context
from graphs.conversation import Turn, from_plain
from graphs.endings import Ending
from graphs.events import Event, Question
from graphs.graph import graph
from graphs.journal import read_told
from graphs.masks import MaskStore
from graphs.state import PlainFailure, PlainInstance, State
from tools.errors import InputError, PolicyError
from tools.image_store import ImageStore
from tools.search.budgeted import RequestCount
from tools.segmenters.base import Box, Frames

MAX_QUERY_CHARS = 4_000


@dataclass(frozen=True)
class Task:
    """Media (frames; one frame is an image) and what to find in them."""

    query: str
    media: Frames
    fingerprint: str = ""
    """Tells these media from others; a thread is bound to it."""


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
    """One answered object, in pixels of the original keyframe; `score` is the segmenter's estimate, 0 to 1.

    `evidence` are the places, in the episode's evidence, of what the policy says that this object rests on.
    """

    label: str
    box: Box | None
    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    score: float
    evidence: tuple[int, ...] = ()


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
    """Set if a part of the system broke, or had no room for the conversation: boundary, message and remedy."""
    keyframe: int | None
    instances: tuple[Instance, ...]
    masks: MaskStore
    evidence: tuple[Evidence, ...]
    conversation: tuple[Turn, ...]
    images: ImageStore
    """The pictures that the conversation refers to; of a thread that was gone on with, those seen since."""
    usage: Usage
    question: Question | None = None
    """What a person is asked, if the ending is `asked`."""
    told: tuple[tuple[float, Event], ...] = ()
    """The events of a thread from its start, with the seconds at which they were told."""

    @property
    def found(self) -> bool:
        """Whether there is at least one instance, and nothing broke on the way to its masks."""
        return self.ending is Ending.FOUND


async def run_episode(task: Task, context: Context, config: RunnableConfig | None = None) -> EpisodeResult:
    """Run one task to its ending; a failing policy, tool or segmenter is an ending, not an exception.

    `context` serves as a template: media, stores and counts are this episode's own. `config` is LangChain's,
    for callbacks. Raises InputError for an empty query or empty media. Tracing to LangSmith stays off, whatever the
    environment says.
    """
    context = prepare(task, context)
    with tracing_context(enabled=False):
        state = await graph.ainvoke({"query": task.query.strip()}, config, context=context)
    return collect(cast(State, state), context)


async def stream_episode(
    task: Task, context: Context, config: RunnableConfig | None = None
) -> AsyncIterator[Event | EpisodeResult]:
    """Run one task like `run_episode`, yielding each event as it happens and the result last."""
    context = prepare(task, context)
    state: Any = {}
    with tracing_context(enabled=False):
        modes: list[StreamMode] = ["custom", "values"]
        parts = graph.astream({"query": task.query.strip()}, config, context=context, stream_mode=modes)
        async for mode, part in parts:
            if mode == "custom":
                yield cast(Event, part)
            else:
                state = part
    yield collect(cast(State, state), context)


def collect(state: State, context: Context) -> EpisodeResult:
    """Put the result together from the last state and the episode's stores."""
    ending = Ending(state.get("ending", Ending.ASKED))
    context.masks.restore(state.get("masks", ()))
    counts = {name: int(value) for name, value in state.get("counts", {}).items()}
    names = ("turns", "cache_hits", "failed_searches", "malformed", "prompt_tokens", "completion_tokens")
    return EpisodeResult(
        query=state["query"],
        ending=ending,
        failure=_failure(state, ending),
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
        question=question_of(state) if ending is Ending.ASKED else None,
        told=read_told(state.get("told", ())),
    )


def prepare(task: Task, context: Context) -> Context:
    """Return the context of this task's own episode; InputError for an unusable query or empty media."""
    query = task.query.strip()
    if not query:
        raise InputError("the query is empty.", remedy="Say what to find.")
    if len(query) > MAX_QUERY_CHARS:
        raise InputError(
            f"the query has {len(query)} characters, {MAX_QUERY_CHARS} at most.", remedy="Say it in fewer words."
        )
    if any("\ud800" <= char <= "\udfff" for char in query):
        raise InputError("the query holds half a character.", remedy="Send it as UTF-8.")
    if len(task.media) == 0:
        raise InputError("the media have no frames.", remedy="Give an image or a clip.")
    return replace(context, media=task.media, images=ImageStore(), masks=MaskStore(), requests=RequestCount())


def _failure(state: State, ending: Ending) -> PlainFailure | None:
    """Return what the ending is due to; a search that failed earlier and was got over is not it."""
    failure = state.get("failure")
    outgrown = ending is Ending.TOKENS_SPENT and failure is not None and failure["boundary"] == PolicyError.boundary
    return failure if ending.broken or outgrown else None


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
    return Instance(
        plain["label"], box, points, tuple(plain["labels"]), plain["score"], tuple(plain.get("evidence", ()))
    )
