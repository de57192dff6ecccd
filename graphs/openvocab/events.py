"""What a run of the second graph tells while it runs, in the order in which things happen; beside the shared events."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from graphs.events import Ended, NodeFinished


@dataclass(frozen=True)
class Replied:
    """The policy answered a step; `problem` says why the answer could not be read."""

    kind: ClassVar[str] = "reply"
    step: str
    about: str
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Aligned:
    """Candidates have become classes: pairs of the policy's name and the class; names that are like none."""

    kind: ClassVar[str] = "aligned"
    classes: tuple[tuple[str, str], ...]
    unaligned: tuple[str, ...]


@dataclass(frozen=True)
class Composed:
    """The phrases that masks are compared with are there."""

    kind: ClassVar[str] = "composed"
    phrases: int


@dataclass(frozen=True)
class RegionsCut:
    """The masks are there."""

    kind: ClassVar[str] = "regions"
    masks: int


@dataclass(frozen=True)
class Fused:
    """The maps are there: the classes in them and the number of panoptic segments."""

    kind: ClassVar[str] = "fused"
    classes: tuple[str, ...]
    segments: int


VocabularyEvent = Replied | Aligned | Composed | RegionsCut | Fused | NodeFinished | Ended


def as_plain_event(event: VocabularyEvent) -> dict[str, Any]:
    """Return an event as plain data with its kind, for logs and for the wire."""
    return {"kind": event.kind, **asdict(event)}
