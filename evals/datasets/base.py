"""One sample of a data set: media, what to find in them, and the true masks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from graphs.episode import Task
from tools.errors import InputError
from tools.segmenters.base import Box, Frames, Mask


@dataclass(frozen=True)
class Sample:
    """A query about media with its truth, in original pixels.

    `masks(frame)` are the true instances there, boolean (height, width), none where the target cannot be seen; one
    frame is a picture. `ignored`, of a picture, are pixels that do not count. `group` is the ability or category that
    scores are told by. `boxes`, of a picture, are the true boxes where those are what is asked for.
    """

    id: str
    query: str
    media: Frames
    masks: Callable[[int], tuple[Mask, ...]]
    group: str = ""
    ignored: Mask | None = None
    boxes: tuple[Box, ...] = ()

    @property
    def task(self) -> Task:
        """What an episode is given: the sample without its truth."""
        return Task(self.query, self.media)


class Dataset(Protocol):
    """Samples by index; the same index is always the same sample."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample:
        """Load one sample; IndexError beyond the last, MediaError or InputError names what is missing or broken."""
        ...


def at_most(count: int, n: int | None) -> int:
    """Return how many of `count` samples are read if `n` are asked for (None: all); InputError for n below 1."""
    if n is not None and n < 1:
        raise InputError(f"{n} samples cannot be read.", remedy="Ask for at least 1.")
    return count if n is None else min(count, n)


def on_picture(*masks: Mask) -> Callable[[int], tuple[Mask, ...]]:
    """Return the `masks` of a picture, a clip of one frame, without empty ones; IndexError for any other frame."""
    seen = tuple(mask for mask in masks if mask.any())

    def of_frame(frame: int) -> tuple[Mask, ...]:
        if frame != 0:
            raise IndexError(f"frame {frame} of a picture")
        return seen

    return of_frame
