"""What a parsed policy turn asks for."""

from dataclasses import dataclass
from typing import Literal

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class SearchQuery:
    """One tool call: which search, and for what."""

    tool: Literal["text_search", "image_search"]
    query: str


@dataclass(frozen=True)
class Search:
    """Look something up; several queries run concurrently."""

    queries: tuple[SearchQuery, ...]


@dataclass(frozen=True)
class LookCloser:
    """See one frame of the clip in high resolution; `frame` is the index shown to the policy."""

    frame: int


@dataclass(frozen=True)
class Target:
    """One answered object, box and points normalised to 0..1 of the frame (dialects convert their convention)."""

    box: Box | None
    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    label: str = ""
    evidence: tuple[int, ...] = ()
    """Numbers of the hits that the policy says it rests on, counted from 1 over the episode; some may not exist."""


@dataclass(frozen=True)
class Answer:
    """The policy's answer: targets, or none at all, which means that the object is absent.

    `frame` is the frame index if the answer itself names one; else the last frame looked at closer counts.
    """

    targets: tuple[Target, ...]
    frame: int | None = None

    @property
    def absent(self) -> bool:
        """Whether the policy says that nothing in the media matches."""
        return not self.targets


@dataclass(frozen=True)
class Malformed:
    """A turn without a usable action: why, and a hint that the policy can act on."""

    reason: str
    hint: str


Action = Search | LookCloser | Answer | Malformed
