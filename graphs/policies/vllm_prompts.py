"""Conversations as the token ids of a request; a turn is encoded once, however often the conversation grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from graphs.conversation import ImageRef, Turn
from graphs.policies.chatml import ChatML

_TURNS = 4096
"""Turns kept with their ids: those of 256 long episodes under way."""


@dataclass(frozen=True)
class Span:
    """Where a picture's run of image tokens stands, counted in tokens from the start."""

    image: ImageRef
    offset: int
    length: int


@dataclass(frozen=True)
class Piece:
    """A turn's ids, the same written out with commas, once whole and once with one id for each picture, and its spans.

    Written out once, because writing a thousand numbers takes longer than everything else that a request needs.
    """

    ids: tuple[int, ...]
    whole: str
    folded: str
    spans: tuple[Span, ...] = ()


class Prompt:
    """What the policy is to go on from: pieces one after the other."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self.spans: list[Span] = []
        self.length = 0
        for piece in pieces:
            self.spans += [Span(span.image, self.length + span.offset, span.length) for span in piece.spans]
            self.length += len(piece.ids)

    def then(self, ids: Sequence[int]) -> "Prompt":
        """Return the prompt that goes on with what has been sampled."""
        return Prompt([*self._pieces, _piece(ids, ())])

    @property
    def images(self) -> list[ImageRef]:
        """The pictures in token order."""
        return [span.image for span in self.spans]

    @property
    def ids(self) -> list[int]:
        """The ids with every image run expanded."""
        return [token for piece in self._pieces for token in piece.ids]

    @property
    def whole(self) -> str:
        """The ids as in JSON, between the brackets, every image run expanded."""
        return ",".join(piece.whole for piece in self._pieces)

    @property
    def folded(self) -> str:
        """The ids as in JSON, between the brackets, one image token for each picture."""
        return ",".join(piece.folded for piece in self._pieces)


class PromptEncoder:
    """Encode conversations exactly as `ChatML.encode` does, remembering turns."""

    def __init__(self, chatml: ChatML) -> None:
        self._chatml = chatml
        self._piece = lru_cache(maxsize=_TURNS)(self._encode)
        self._opening = _piece(chatml.encode_header("assistant"), ())

    def __call__(self, turns: Sequence[Turn]) -> Prompt:
        """Return the prompt that ends where the policy's next turn begins.

        Raises PolicyError for a picture whose sizes are no multiples of the image cell.
        """
        return Prompt([*(self._piece(turn) for turn in turns), self._opening])

    def _encode(self, turn: Turn) -> Piece:
        ids = self._chatml.encode_turn(turn)
        spans: list[Span] = []
        at = 0
        # A sampled turn shows no picture; an image token that the policy dreamt up there stands for none.
        for image in (part for part in turn.parts if isinstance(part, ImageRef)):
            at = ids.index(self._chatml.image_pad, at)
            spans.append(Span(image, at, self._chatml.image_tokens(image)))
            at += spans[-1].length
        return _piece(ids, spans)


def _piece(ids: Sequence[int], spans: Sequence[Span]) -> Piece:
    folded: list[int] = []
    at = 0
    for span in spans:
        folded += ids[at : span.offset + 1]
        at = span.offset + span.length
    folded += ids[at:]
    return Piece(tuple(ids), ",".join(map(str, ids)), ",".join(map(str, folded)), tuple(spans))
