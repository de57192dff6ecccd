"""The append-only conversation between policy and world."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Text:
    """A piece of text."""

    text: str


@dataclass(frozen=True)
class ImageRef:
    """A picture by reference: its sha256 in the episode's ImageStore and its size in pixels as the policy sees it."""

    sha256: str
    width: int
    height: int


Part = Text | ImageRef


@dataclass(frozen=True)
class Turn:
    """One turn; a turn that the policy sampled keeps its exact token ids and log-probabilities when known."""

    role: Role
    parts: tuple[Part, ...]
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None

    @property
    def text(self) -> str:
        """The turn's text, with `<image>` where a picture stands."""
        return "".join(part.text if isinstance(part, Text) else "<image>" for part in self.parts)
