"""Turn conversations into ChatML token ids for Qwen-style models.

Knows tokens and image placeholders; knows nothing of models or pixels. The ids of a turn that the policy sampled are
kept exactly: the conversation only grows and is never re-rendered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from graphs.conversation import ImageRef, Turn
from tools.errors import PolicyError

_KNOWN_TURNS = 4096
"""Turns whose ids are kept: a conversation grows, and its older turns are asked for again and again."""

IMAGE_PAD = "<|image_pad|>"
IMAGE_TEXT = f"<|vision_start|>{IMAGE_PAD}<|vision_end|>"
END_OF_TURN = "<|im_end|>"


class Encoder(Protocol):
    """Encode text to token ids; special tokens written in the text become their ids."""

    def __call__(self, text: str, /) -> list[int]:
        """Return the ids of `text`, without any that it does not spell."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Token ids with every image run expanded, and the images in token order."""

    ids: tuple[int, ...]
    images: tuple[ImageRef, ...]


class ChatML:
    """Encode turns for one tokenizer; `cell` is the side in pixels of the square that one image token covers."""

    def __init__(self, encode: Encoder, *, cell: int = 32) -> None:
        self._encode = encode
        self.cell = cell
        (self.image_pad,) = encode(IMAGE_PAD)
        (self.end_of_turn,) = encode(END_OF_TURN)
        self._turn = lru_cache(_KNOWN_TURNS)(self._encode_turn)

    def image_tokens(self, image: ImageRef) -> int:
        """Count the tokens of an image; PolicyError if its size is no multiple of the cell."""
        if image.width % self.cell or image.height % self.cell:
            raise PolicyError(
                f"an image of {image.width}x{image.height} pixels does not fit cells of {self.cell}.",
                remedy=f"Use a view whose sizes are multiples of {self.cell}.",
            )
        return (image.width // self.cell) * (image.height // self.cell)

    def encode(self, turns: Sequence[Turn], *, open_reply: bool = True) -> Encoded:
        """Encode turns; with `open_reply` the ids end where the policy's next turn begins."""
        ids: list[int] = []
        images: list[ImageRef] = []
        for turn in turns:
            ids += self.encode_turn(turn)
            images += [part for part in turn.parts if isinstance(part, ImageRef)]
        if open_reply:
            ids += self.encode_header("assistant")
        return Encoded(tuple(ids), tuple(images))

    def encode_text(self, text: str) -> list[int]:
        """Encode text as it stands, with no turn around it."""
        return self._encode(text)

    def encode_header(self, role: str) -> list[int]:
        """Encode what stands before a turn."""
        return self._encode(f"<|im_start|>{role}\n")

    def encode_tail(self, sampled: Sequence[int]) -> list[int]:
        """Encode what stands behind sampled ids: they may end with the end-of-turn token, or at a stop string."""
        ended = bool(sampled) and sampled[-1] == self.end_of_turn
        return self._encode("\n" if ended else f"{END_OF_TURN}\n")

    def encode_turn(self, turn: Turn) -> tuple[int, ...]:
        """Encode one whole turn, header and end included; sampled ids are used as they are."""
        return self._turn(turn)

    def _encode_turn(self, turn: Turn) -> tuple[int, ...]:
        header, tail = f"<|im_start|>{turn.role}\n", f"{END_OF_TURN}\n"
        if turn.token_ids is not None:
            return (*self.encode_header(turn.role), *turn.token_ids, *self.encode_tail(turn.token_ids))
        text = "".join(IMAGE_TEXT if isinstance(part, ImageRef) else part.text for part in turn.parts)
        spelt = self._encode(header + text + tail)
        runs = [self.image_tokens(part) for part in turn.parts if isinstance(part, ImageRef)]
        if spelt.count(self.image_pad) != len(runs):
            raise PolicyError("a text holds the image token, which only pictures may.", remedy="Leave it out.")
        waiting = iter(runs)
        ids: list[int] = []
        for token in spelt:
            ids += [token] * next(waiting) if token == self.image_pad else [token]
        return tuple(ids)


def rope_positions(ids: Sequence[int], image_pad: int, grids: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Compute Qwen3-VL's three-axis rotary positions, int64 (3, len(ids)): time, row, column.

    `grids` are the rows and columns of image tokens, one pair per image in token order. An image takes one time step,
    its rows and columns count from there, and the text after it goes on behind the longer side.
    """
    positions = np.empty((3, len(ids)), np.int64)
    step, at, waiting = 0, 0, iter(grids)
    tokens = np.asarray(ids)
    while at < len(tokens):
        if tokens[at] == image_pad:
            rows, columns = next(waiting)
            end = at + rows * columns
            positions[0, at:end] = step
            positions[1, at:end] = step + np.repeat(np.arange(rows), columns)
            positions[2, at:end] = step + np.tile(np.arange(columns), rows)
            step += max(rows, columns)
        else:
            ahead = np.flatnonzero(tokens[at:] == image_pad)
            end = at + int(ahead[0]) if len(ahead) else len(tokens)
            positions[:, at:end] = step + np.arange(end - at)
            step += end - at
        at = end
    return positions


def find_ends(chatml: ChatML, *eos: int | Sequence[int] | None) -> frozenset[int]:
    """Return the ids that end a turn: the end-of-turn token, and what a tokenizer or generation config says beside."""
    ends = {chatml.end_of_turn}
    for told in eos:
        if told is not None:
            ends.update([told] if isinstance(told, int) else told)
    return frozenset(ends)
