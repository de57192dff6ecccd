"""ReasonSeg (LISA, dvlab-research, arXiv 2308.00692) in its official layout.

    DATA/<split>/<name>.jpg     picture
    DATA/<split>/<name>.json    {"text": [query, ...], "is_sentence": bool, "shapes": [{"label", "points"}, ...]}

Polygons are drawn the largest first, so that a smaller one lies on top. A label with "ignore" in it is neither target
nor background, "flag" is a mark without meaning, and anything else is target. The whole target is one object, since
polygons do not tell objects from their parts. `group` is LISA's: long queries are sentences, short ones phrases.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.datasets.base import Sample, at_most, on_picture
from tools.errors import InputError, boundary
from tools.media import open_media
from tools.segmenters.base import Mask

LAYOUT = "Unpack ReasonSeg so that DATA/<split>/ (train, val or test) holds <name>.jpg beside <name>.json."


@dataclass(frozen=True)
class Annotation:
    """What is known of a picture: masks (height, width) of the target and of what is to be ignored, and the queries."""

    target: Mask
    ignored: Mask
    texts: tuple[str, ...]
    is_sentence: bool


class ReasonSeg:
    """Read ReasonSeg, in the order of the names.

    `texts` "all" makes a sample of each query of a picture, "first" only of the first, as LISA evaluates; by default
    the first outside training. InputError names a missing or broken file, MediaError a broken picture.
    """

    name = "reason-seg"

    def __init__(
        self, data: Path, split: str = "train", n: int | None = None, *, texts: Literal["all", "first"] | None = None
    ) -> None:
        folder = data / split
        pictures = sorted(folder.glob("*.jpg"))
        if not pictures:
            raise InputError(f"{folder / '<name>.jpg'} is missing.", remedy=LAYOUT)
        every = (texts or ("all" if split == "train" else "first")) == "all"
        self._samples: list[tuple[Path, int]] = []
        for picture in pictures:
            count = len(_read(picture.with_suffix(".json"))["text"])
            self._samples += [(picture, text) for text in range(count if every else min(count, 1))]
        self._count = at_most(len(self._samples), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        picture, text = self._samples[range(len(self))[index]]
        media = open_media(picture)
        annotation = read_annotation(picture.with_suffix(".json"), media.height, media.width)
        return Sample(
            id=f"{picture.stem}-{text}",
            query=annotation.texts[text].strip(),
            media=media.frames,
            masks=on_picture(annotation.target),
            group="long query" if annotation.is_sentence else "short query",
            ignored=annotation.ignored if annotation.ignored.any() else None,
        )


def read_annotation(path: Path, height: int, width: int) -> Annotation:
    """Read LISA's JSON and draw its polygons on a picture of `height` by `width` pixels; InputError if it is broken."""
    plain = _read(path)
    drawn = []
    with boundary(InputError, f"{path} is no annotation of ReasonSeg", remedy=LAYOUT):
        for shape in plain["shapes"]:
            label = str(shape["label"]).lower()
            if label != "flag":
                # LISA's own masks: coordinates lose their fraction, and the outline belongs to the polygon.
                points = np.array(shape["points"], np.float64).astype(np.int32).reshape(-1, 2)
                drawn.append((_fill(points, height, width), "ignore" in label))
        texts = tuple(str(text) for text in plain["text"])
    target, ignored = np.zeros((height, width), np.bool_), np.zeros((height, width), np.bool_)
    for polygon, ignore in sorted(drawn, key=lambda one: -int(np.count_nonzero(one[0]))):
        target, ignored = (
            ((target & ~polygon), (ignored | polygon)) if ignore else ((target | polygon), (ignored & ~polygon))
        )
    return Annotation(target, ignored, texts, bool(plain.get("is_sentence")))


def _fill(points: NDArray[np.int32], height: int, width: int) -> Mask:
    canvas = np.zeros((height, width), np.uint8)
    cv2.polylines(canvas, [points], True, 1, 1)
    cv2.fillPoly(canvas, [points], 1)
    return canvas.astype(np.bool_)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path} is missing.", remedy=LAYOUT)
    with boundary(InputError, f"{path} cannot be read", remedy="Unpack the data set again."):
        content = path.read_bytes()
        try:
            plain = json.loads(content.decode())
        except UnicodeDecodeError:
            plain = json.loads(content.decode("cp1252"))  # a few of the published files are
        if not isinstance(plain, dict) or not isinstance(plain.get("text"), list):
            raise InputError(f"{path} has no list of texts.", remedy=LAYOUT)
        return plain
