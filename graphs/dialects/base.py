"""What every dialect does: one published system's way of talking, both directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphs.actions import Action, Malformed
from graphs.conversation import ImageRef, Part
from graphs.tool_calls import Toolset
from tools.search.base import TextHit


@dataclass(frozen=True, kw_only=True)
class View:
    """How the policy sees the media: number of frames, and square sizes in pixels."""

    frames: int
    frame_size: int
    keyframe_size: int
    image_size: int
    """Side of a picture that an image search brought."""


@dataclass(frozen=True)
class ShownFrame:
    """A frame as shown to the policy: its index in the clip and the picture."""

    index: int
    image: ImageRef


@dataclass(frozen=True)
class ShownImage:
    """A searched picture as shown to the policy: the name of what it shows and the picture."""

    name: str
    image: ImageRef


class Dialect(Protocol):
    """Render the task and observations, and parse turns into actions. Pure: no pixels, no I/O."""

    name: str
    view: View
    stop: tuple[str, ...]

    def system(self, *, search: bool) -> str:
        """Return the system prompt, with or without the search tools; empty where a dialect has none."""
        ...

    def task(self, query: str, frames: Sequence[ShownFrame]) -> tuple[Part, ...]:
        """Render the first user turn."""
        ...

    def parse(self, text: str) -> Action:
        """Parse one turn that the policy itself sampled. Never raises; linear time."""
        ...

    def text_results(self, hits: Sequence[TextHit], *, first: int = 1) -> tuple[Part, ...]:
        """Render text hits as an observation; tags inside retrieved text are neutralised.

        `first` is the number of the first hit among all of the episode, for dialects whose answers cite by number.
        """
        ...

    def image_results(self, hits: Sequence[ShownImage], *, first: int = 1) -> tuple[Part, ...]:
        """Render searched pictures as an observation; `first` is as for texts."""
        ...

    def keyframe(self, frame: ShownFrame) -> tuple[Part, ...]:
        """Render the high-resolution frame as an observation."""
        ...

    def repair(self, malformed: Malformed) -> tuple[Part, ...]:
        """Render one precise hint after a malformed turn."""
        ...

    def notice(self, text: str) -> tuple[Part, ...]:
        """Render a plain notice: tool failure, search switched off, last turn."""
        ...

    def observation(self, said: str, pieces: Sequence[Sequence[Part]]) -> tuple[Part, ...]:
        """Put together what came back after the turn `said`: a piece for each query of a search, else a single one."""
        ...

    def tools(self, *, search: bool, last: bool) -> Toolset | None:
        """Return what the next turn may call, where actions are tool calls; `last`: it must be an answer."""
        ...
