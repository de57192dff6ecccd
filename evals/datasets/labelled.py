"""Pictures in which every pixel has a class: what open-vocabulary benchmarks read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from graphs.openvocab import Vocabulary
from tools.image_store import Image

Truth = TypeVar("Truth", covariant=True)
"""How the truth is written: a map of labels, or panoptic segments."""


@dataclass(frozen=True)
class LabelledPicture(Generic[Truth]):
    """The truth of a picture of `size`, (height, width), and what decodes the picture itself.

    `image` returns RGB uint8 (height, width, 3) and raises MediaError if it cannot be read or is of another size.
    """

    id: str
    size: tuple[int, int]
    truth: Truth
    image: Callable[[], Image]


class LabelledPictures(Protocol[Truth]):
    """Labelled pictures by index, and the classes that they are labelled with."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes; truths name them by their place here."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> LabelledPicture[Truth]:
        """Read the truth of a picture; IndexError beyond the last, InputError or MediaError if it is broken."""
        ...
