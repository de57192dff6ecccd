"""What an episode tells while it runs: small typed events, safe to show, to log and to send as JSON.

They go to LangGraph's custom stream and to the sink of the Context, in the order in which things happen.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, get_args

from pydantic import TypeAdapter

from graphs.actions import Action
from tools.errors import CheckpointError, boundary


@dataclass(frozen=True)
class TurnSampled:
    """The policy completed a turn."""

    kind: ClassVar[str] = "turn"
    node: str
    turn: int
    text: str
    action: Action
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True)
class SearchStarted:
    """A query goes out."""

    kind: ClassVar[str] = "search_started"
    tool: Literal["text_search", "image_search"]
    query: str


@dataclass(frozen=True)
class FoundHit:
    """A hit as people should see it."""

    title: str
    source: str
    snippet: str


@dataclass(frozen=True)
class SearchFinished:
    """A query came back: `fate` is run, cached, failed, too_many, refused or off; `error` says why it failed."""

    kind: ClassVar[str] = "search_finished"
    tool: Literal["text_search", "image_search"]
    query: str
    fate: str
    hits: tuple[FoundHit, ...]
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class KeyframeShown:
    """The policy sees a frame in high resolution; `sha256` refers to the episode's image store."""

    kind: ClassVar[str] = "keyframe"
    frame: int
    sha256: str


@dataclass(frozen=True)
class Repaired:
    """A turn could not be used and the policy was told why."""

    kind: ClassVar[str] = "repair"
    reason: str
    hint: str


@dataclass(frozen=True)
class Answered:
    """The policy answered; boxes are x1, y1, x2, y2 in pixels of the original keyframe (None: points only)."""

    kind: ClassVar[str] = "answer"
    absent: bool
    keyframe: int | None
    boxes: tuple[tuple[float, float, float, float] | None, ...]


@dataclass(frozen=True)
class Choice:
    """One thing that may be meant: `boxes` (x1, y1, x2, y2; None: points only) in pixels of the original `frame`.

    `votes` of the policy's answers speak for it. Without a frame it stands for "it is not there".
    """

    number: int
    frame: int | None
    boxes: tuple[tuple[float, float, float, float] | None, ...]
    label: str
    votes: int


@dataclass(frozen=True)
class Question:
    """The policy's answers disagree: a person must choose, by a number; 0 means none of the choices."""

    kind: ClassVar[str] = "question"
    query: str
    choices: tuple[Choice, ...]
    answers: int
    """How many answers were compared."""


@dataclass(frozen=True)
class MasksCut:
    """The masks of one more frame are there."""

    kind: ClassVar[str] = "masks"
    frame: int
    done: int
    total: int


@dataclass(frozen=True)
class NodeFinished:
    """A node of the graph is through."""

    kind: ClassVar[str] = "node"
    node: str
    seconds: float


@dataclass(frozen=True)
class Ended:
    """The episode is over; boundary, message and remedy are set if something broke."""

    kind: ClassVar[str] = "ended"
    ending: str
    failure: dict[str, str] = field(default_factory=dict)


Event = (
    TurnSampled
    | SearchStarted
    | SearchFinished
    | KeyframeShown
    | Repaired
    | Answered
    | Question
    | MasksCut
    | NodeFinished
    | Ended
)

_EVENTS: dict[str, TypeAdapter[Event]] = {kind.kind: TypeAdapter(kind) for kind in get_args(Event)}
_ACTIONS: dict[str, TypeAdapter[Action]] = {kind.__name__: TypeAdapter(kind) for kind in get_args(Action)}


def as_plain_event(event: Event) -> dict[str, Any]:
    """Return an event as plain data with its kind, and the type of its action, for logs and for the wire."""
    plain = {"kind": event.kind, **asdict(event)}
    if isinstance(event, TurnSampled):
        plain["action"] = {"type": type(event.action).__name__, **asdict(event.action)}
    return plain


def from_plain_event(plain: Mapping[str, Any]) -> Event:
    """Return the event that `as_plain_event` made plain; CheckpointError if it is none."""
    with boundary(CheckpointError, "an event of a thread cannot be read", remedy="Start a new thread."):
        fields = {name: value for name, value in plain.items() if name != "kind"}
        if "action" in fields:
            action = dict(fields["action"])
            fields["action"] = _ACTIONS[action.pop("type")].validate_python(action)
        return _EVENTS[plain["kind"]].validate_python(fields)
