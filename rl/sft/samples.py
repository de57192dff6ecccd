"""One supervised sample: token ids, which of them are trained on, and the pictures in token order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphs.conversation import ImageRef, Part, Text, Turn
from graphs.policies.chatml import ChatML, rope_positions
from tools.image_store import Image

Put = Callable[[Image], ImageRef]
"""Store a square picture and return its reference."""


class Pictures:
    """Collect the pictures of one sample; references are numbers, since hashing pixels would cost more than drawing."""

    def __init__(self) -> None:
        self.images: list[Image] = []

    def put(self, image: Image) -> ImageRef:
        """Keep an RGB picture, uint8 (side, side, 3)."""
        self.images.append(image)
        return ImageRef(str(len(self.images) - 1), image.shape[1], image.shape[0])


@dataclass(frozen=True)
class Sample:
    """A tokenised conversation.

    ids int32 (length,); trained bool (length,), true where the policy spoke; positions int64 (3, length), rotary;
    images uint8 (side, side, 3) each, in token order.
    """

    ids: NDArray[np.int32]
    trained: NDArray[np.bool_]
    positions: NDArray[np.int64]
    images: tuple[Image, ...]


def said(role: str, *parts: Part | str) -> Turn:
    """Make a turn from strings and images."""
    assert role in ("system", "user", "assistant")
    return Turn(role, tuple(Text(p) if isinstance(p, str) else p for p in parts))  # type: ignore[arg-type]


def tokenise(chatml: ChatML, encode: Callable[[str], list[int]], turns: Sequence[Turn], pictures: Pictures) -> Sample:
    """Tokenise a conversation; every assistant turn is trained on, its end included, and nothing else is."""
    ids: list[int] = []
    trained: list[bool] = []
    images: list[Image] = []
    grids: list[tuple[int, int]] = []
    for turn in turns:
        if turn.role == "assistant":
            spoken = (*encode(turn.text), chatml.end_of_turn)
            whole = chatml.encode_turn(Turn(turn.role, turn.parts, token_ids=spoken))
            before = len(whole) - len(spoken) - 1
            trained += [False] * before + [True] * len(spoken) + [False]
        else:
            whole = chatml.encode_turn(turn)
            trained += [False] * len(whole)
        ids += whole
        for part in turn.parts:
            if isinstance(part, ImageRef):
                images.append(pictures.images[int(part.sha256)])
                grids.append((part.height // chatml.cell, part.width // chatml.cell))
    positions = rope_positions(ids, chatml.image_pad, grids)
    return Sample(np.array(ids, np.int32), np.array(trained), positions, tuple(images))


def jitter_coordinates(
    sample: Sample, rng: np.random.Generator, numbers: NDArray[np.int64], opens: Sequence[int], reach: int
) -> Sample:
    """Shift every trained coordinate by up to `reach` units of 1/1000, at random.

    `numbers` are the token ids of 0, 1, 2, … and `opens` those of the tokens that open a coordinate. Pixels fall on
    few of the thousand units, on others for edges than for points; a policy that has seen only those takes any other
    number, once it has sampled one, for something else. Zero stays: a box of zeros says that the object is absent.
    """
    ids = sample.ids.copy()
    value_of = {int(token): value for value, token in enumerate(numbers)}
    for at in np.flatnonzero(sample.trained & np.isin(np.roll(ids, 1), list(opens))):
        value = value_of.get(int(ids[at]))
        if value:
            ids[at] = numbers[np.clip(value + rng.integers(-reach, reach + 1), 1, len(numbers) - 1)]
    return Sample(ids, sample.trained, sample.positions, sample.images)
