"""The append-only conversation between policy and world."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from graphs.state import PlainTurn

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


def to_plain(turn: Turn) -> PlainTurn:
    """Convert a turn to the plain values that state and records hold."""
    parts: list[dict[str, str | int]] = [
        {"text": part.text}
        if isinstance(part, Text)
        else {"sha256": part.sha256, "width": part.width, "height": part.height}
        for part in turn.parts
    ]
    plain: PlainTurn = {"role": turn.role, "parts": parts}
    if turn.token_ids is not None:
        plain["token_ids"] = list(turn.token_ids)
    if turn.logprobs is not None:
        plain["logprobs"] = list(turn.logprobs)
    return plain


def from_plain(plain: PlainTurn) -> Turn:
    """Convert plain values back to the turn; the inverse of `to_plain`."""
    parts = tuple(
        Text(str(part["text"]))
        if "text" in part
        else ImageRef(str(part["sha256"]), int(part["width"]), int(part["height"]))
        for part in plain["parts"]
    )
    token_ids, logprobs = plain.get("token_ids"), plain.get("logprobs")
    return Turn(
        plain["role"],
        parts,
        None if token_ids is None else tuple(token_ids),
        None if logprobs is None else tuple(logprobs),
    )


def join(*pieces: Sequence[Part]) -> tuple[Part, ...]:
    """Put pieces of an observation one under the other; a piece that ends in a newline gets no second one."""
    parts: list[Part] = []
    for piece in pieces:
        if parts and piece:
            last = parts[-1]
            if not (isinstance(last, Text) and last.text.endswith("\n")):
                parts.append(Text("\n"))
        parts += piece
    return tuple(parts)
