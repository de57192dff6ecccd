"""Data sets of pictures with a file of labels each: one number a pixel, in PNG or, beyond 255 classes, 16-bit TIFF."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evals.datasets.base import at_most
from evals.datasets.labelled import LabelledPicture
from graphs.openvocab import Vocabulary
from graphs.openvocab.fusion import NOTHING, LabelMap
from tools.errors import InputError, MediaError, boundary
from tools.image_store import Image
from tools.media import Limits
from tools.media.images import decode_file

UNPACK = "Unpack or prepare the data set again."


@dataclass(frozen=True, kw_only=True)
class LabelLayout:
    """Where pictures (.jpg) and labels lie below DATA, and what the numbers mean.

    `first` is the label of the first class, `ignored` are labels that do not count. `stems` is a file that lists the
    samples, one a line; without it they are the labels. `whole`: the folder of pictures holds these samples only.
    """

    images: str
    labels: str
    suffix: str = ".png"
    first: int = 0
    ignored: tuple[int, ...] = (255,)
    stems: str = ""
    whole: bool = False


class LabelFiles:
    """Read such a data set from the first of `layouts` that is there, in the order of the names.

    InputError names what is missing, and a file with a label that is no class; MediaError a broken file.
    """

    def __init__(
        self, root: Path, layouts: Sequence[LabelLayout], vocabulary: Vocabulary, n: int | None = None
    ) -> None:
        self.vocabulary = vocabulary
        self._root, self._layout = root, _find_layout(root, layouts)
        stems = self._stems()
        for folder, suffix in ((self._layout.images, ".jpg"), (self._layout.labels, self._layout.suffix)):
            there = {path.name for path in (root / folder).iterdir()}
            missing = [stem for stem in stems if f"{stem}{suffix}" not in there]
            if missing:
                file = root / folder / f"{missing[0]}{suffix}"
                raise InputError(f"{file} is missing, one of {len(missing)} files.", remedy=UNPACK)
        self._names = stems[: at_most(len(stems), n)]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int, /) -> LabelledPicture[LabelMap]:
        """Read the labels of a picture, their places in the vocabulary; IndexError beyond the last."""
        name = self._names[range(len(self))[index]]
        labels = self._root / self._layout.labels / f"{name}{self._layout.suffix}"
        truth = self._places(read_numbers(labels), labels)
        size = (truth.shape[0], truth.shape[1])
        image = partial(read_picture, self._root / self._layout.images / f"{name}.jpg", size)
        return LabelledPicture(name, size, truth, image)

    def _stems(self) -> list[str]:
        layout = self._layout
        if layout.stems:
            listed = self._root / layout.stems
            with boundary(InputError, f"{listed} cannot be read", remedy=UNPACK):
                stems = [Path(line.strip()).name for line in listed.read_text(encoding="utf-8").splitlines()]
            return [stem for stem in stems if stem]
        stems = sorted(path.stem for path in (self._root / layout.labels).glob(f"*{layout.suffix}"))
        if layout.whole:
            stems = sorted({*stems, *(path.stem for path in (self._root / layout.images).glob("*.jpg"))})
        if not stems:
            raise InputError(f"there are no labels in {self._root / layout.labels}.", remedy=UNPACK)
        return stems

    def _places(self, numbers: NDArray[np.integer], path: Path) -> LabelMap:
        layout, classes = self._layout, len(self.vocabulary)
        counted = ~np.isin(numbers, layout.ignored)
        places = np.where(counted, numbers.astype(np.int64) - layout.first, NOTHING).astype(np.int32)
        wrong = numbers[counted & ((places < 0) | (places >= classes))]
        if wrong.size:
            last, ignored = layout.first + classes - 1, ", ".join(str(label) for label in layout.ignored)
            raise InputError(
                f"{path} has the label {wrong[0]}; classes are {layout.first} to {last}, and ignored: {ignored}.",
                remedy=f"{UNPACK} A list of --classes must have a line for each label, in their order.",
            )
        return places


def find_root(data: Path, *names: str) -> Path:
    """Return the first folder of these names that is below `data`, else `data` itself."""
    return next((data / name for name in names if (data / name).is_dir()), data)


def read_numbers(path: Path) -> NDArray[np.integer]:
    """Read one integer a pixel, (height, width); of a picture with a palette the places in it.

    MediaError if it cannot be read, and for pictures with several channels.
    """
    with boundary(MediaError, f"the labels {path} cannot be read", remedy=UNPACK):
        with PIL.Image.open(path, formats=("PNG", "TIFF")) as picture:
            Limits().check_frame(picture.width, picture.height, path.name)
            numbers = np.asarray(picture)
        if numbers.ndim != 2 or not np.issubdtype(numbers.dtype, np.integer):
            raise MediaError(
                f"{path} has no labels: they are one integer a pixel, these are {numbers.dtype} {numbers.shape}.",
                remedy="Give labels, not a drawing of them.",
            )
        return numbers


def read_picture(path: Path, size: tuple[int, int]) -> Image:
    """Decode a picture, RGB uint8 (height, width, 3); MediaError if it cannot be read or is not of `size`."""
    image = decode_file(path, Limits())
    if image.shape[:2] != size:
        raise MediaError(
            f"{path} is {image.shape[1]}x{image.shape[0]} and its labels are {size[1]}x{size[0]}.", remedy=UNPACK
        )
    return image


def _find_layout(root: Path, layouts: Sequence[LabelLayout]) -> LabelLayout:
    for layout in layouts:
        if all((root / folder).is_dir() for folder in (layout.images, layout.labels)):
            return layout
    first = layouts[0]
    missing = next(folder for folder in (first.images, first.labels) if not (root / folder).is_dir())
    pairs = "; ".join(f"{layout.images} and {layout.labels}" for layout in layouts)
    raise InputError(f"{root / missing} is missing.", remedy=f"DATA must have one of these pairs of folders: {pairs}.")
