"""What a checkpoint holds: counters, references and plain values; no pixel, no mask, no class of ours.

Everything here survives strict msgpack. An action is not stored: it is parsed again from the last sampled turn, which
is pure and takes microseconds.
"""

import operator
from collections.abc import Mapping
from typing import Annotated, Literal

from typing_extensions import TypedDict


class PlainTurn(TypedDict, total=False):
    """A turn of the conversation; each part is {"text": …} or {"sha256": …, "width": …, "height": …}."""

    role: Literal["system", "user", "assistant"]
    parts: list[dict[str, str | int]]
    token_ids: list[int]
    logprobs: list[float]


class PlainPicture(TypedDict):
    """Where a picture of the conversation comes from, so that a resumed episode can make it again."""

    origin: Literal["frame", "file"]
    frame: int
    path: str
    side: int


class PlainHit(TypedDict):
    """One search hit; a text hit has a snippet, an image hit a path and the reference of its shown picture."""

    title: str
    snippet: str
    source: str
    score: float
    path: str
    sha256: str


class PlainSearch(TypedDict):
    """One search that was run: `error` is empty unless it failed, and a failed search is never answered from cache."""

    turn: int
    tool: Literal["text_search", "image_search"]
    query: str
    hits: list[PlainHit]
    error: str


class PlainAsk(TypedDict):
    """One query of the last turn and what became of it: which of the searches answers it, or why none does."""

    search: int
    fate: Literal["run", "cached", "failed", "too_many", "refused", "off"]
    """too_many: more in one turn than are run; refused: no search is left; off: there is no search at all."""


class PlainFailure(TypedDict):
    """An error as data: the boundary that it crossed, what happened, and what mends it."""

    boundary: str
    message: str
    remedy: str


class PlainInstance(TypedDict):
    """One answered object: box and points in pixels of the original keyframe; an empty box means points only."""

    label: str
    box: list[float]
    points: list[list[float]]
    labels: list[int]
    score: float


def add_counts(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    """Add two sets of counters by name."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def merge(left: Mapping[str, PlainPicture], right: Mapping[str, PlainPicture]) -> dict[str, PlainPicture]:
    """Merge two mappings; the newer value wins."""
    return {**left, **right}


class Input(TypedDict):
    """What an episode starts from; the media come by Context."""

    query: str


class State(TypedDict, total=False):
    """The state of one episode."""

    query: str
    shown: list[int]
    """Frame indices that the task showed."""
    turns: Annotated[list[PlainTurn], operator.add]
    cut: bool
    """Whether the last sampled turn ran into its token limit."""
    looked: Annotated[list[int], operator.add]
    """Frames looked at closer, in order."""
    searches: Annotated[list[PlainSearch], operator.add]
    asked: list[PlainAsk]
    """The queries of the last turn."""
    pictures: Annotated[dict[str, PlainPicture], merge]
    counts: Annotated[dict[str, float], add_counts]
    """turns, prompt_tokens, completion_tokens, malformed, refused, failed_rounds,
    failed_searches, cache_hits."""
    seconds: Annotated[dict[str, float], add_counts]
    """Seconds per node."""
    ending: str
    failure: PlainFailure
    keyframe: int
    instances: list[PlainInstance]
