"""What a checkpoint holds: counters, references and plain values; no pixel, no class of ours.

Everything here survives strict msgpack. An action is not stored: it is parsed again from the last sampled turn, which
is pure and takes microseconds.
"""

import operator
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

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
    evidence: NotRequired[list[int]]
    """Which of all hits, counted from 0, the policy says it rests on."""


class PlainMask(TypedDict):
    """One mask as COCO run lengths; `size` is [height, width]."""

    target: int
    frame: int
    size: list[int]
    counts: str


class PlainCandidate(TypedDict):
    """Answers that agree: the turn that gave the first of them, how many there are, and what it points at.

    Boxes are in pixels of the original frame, empty for an object answered by points; a frame of -1 means absent.
    """

    text: str
    votes: int
    frame: int
    boxes: list[list[float]]
    labels: list[str]


class PlainTold(TypedDict):
    """An event and when it was told, in seconds of the episode's own time."""

    at: float
    event: dict[str, Any]


def add_counts(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    """Add two sets of counters by name."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def merge(left: Mapping[str, PlainPicture], right: Mapping[str, PlainPicture]) -> dict[str, PlainPicture]:
    """Merge two mappings; the newer value wins."""
    return {**left, **right}


class Input(TypedDict):
    """What an episode starts from; the media come by Context, and a thread is bound to their fingerprint."""

    query: str
    media: NotRequired[str]
    dialect: NotRequired[str]


class State(TypedDict, total=False):
    """The state of one episode."""

    query: str
    media: str
    """Fingerprint of the media that a thread is about."""
    dialect: str
    """Name of the dialect in which a thread is held."""
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
    candidates: list[PlainCandidate]
    """What may be meant, the policy's first answer first; set if the answer was asked for several times."""
    chosen: int
    """Which candidate a person chose, counted from 1; 0 for none of them."""
    masks: list[PlainMask]
    """Only in a thread; else masks are in the mask store alone."""
    told: Annotated[list[PlainTold], operator.add]
    """The events of a thread so far."""
