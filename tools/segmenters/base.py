"""What every segmenter does: prompts in original pixels in, boolean masks of the original size out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tools.image_store import Image

Mask = NDArray[np.bool_]
"""Boolean mask, shape (height, width), of the original picture."""

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original picture; x2 and y2 are exclusive edges."""


class Frames(Protocol):
    """Random access to the frames of a clip, decoded on demand (never all at once)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image: ...


@dataclass(frozen=True)
class Prompt:
    """One object to cut out: a box, points with labels (1 inside, 0 outside), or both, in original pixels."""

    box: Box | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Segment:
    """The mask of one prompt with the segmenter's own estimate of its IoU, 0 to 1."""

    mask: Mask
    score: float


class Segmenter(Protocol):
    """Cut prompted objects out of an image, or through a clip."""

    name: str

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt in one RGB picture, uint8 (height, width, 3); one `Segment` per prompt, in order.

        Raises SegmenterError if the model cannot run, InputError for a prompt without box and points.
        """
        ...

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Segment each prompt of frame `keyframe` through the clip, both directions, each frame once.

        Yields (frame index, one Segment per prompt); memory stays bounded whatever the length of the clip.
        """
        ...
