"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO in the layout of the `refer` API (lichengunc/refer, henghuiding/gRefCOCO).

    DATA/refcoco/refs(unc).p            [{ref_id, ann_id, image_id, split, sentences: [{sent_id, sent, …}, …], …}, …]
    DATA/grefcoco/grefs(unc).json       the same; ann_id is a list, [-1] if the picture shows no such thing
    DATA/<name>/instances.json          COCO's {images, annotations}
    DATA/images/mscoco/images/train2014/COCO_train2014_<id>.jpg

In brackets is who partitioned the data: "umd" for RefCOCOg, where "google" is an older partition by objects that has
pictures of its training in its val, and "unc" for the others. A split is that of the usual partition, or of one that
stands before it: "val", "google-val". Every expression is a sample, in the order of the file, with its text as cleaned
by the authors; an object of several polygons is all of them.
"""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from evals.datasets.base import Sample, at_most, on_picture
from evals.datasets.coco_masks import annotated_mask
from evals.datasets.plain_pickle import load_plain_pickle
from tools.errors import InputError, MediaError, boundary
from tools.media import open_media
from tools.segmenters.base import Mask

PARTITIONS = {"refcoco": ("unc", "google"), "refcoco+": ("unc",), "refcocog": ("umd", "google"), "grefcoco": ("unc",)}
"""Data set → who partitioned it, the usual one first."""
PICTURES = ("images/mscoco/images/train2014", "images/train2014", "train2014", "coco_2014/train2014")
"""Where COCO's pictures may lie below DATA, the official place first."""
LAYOUT = (
    "DATA must be as the refer API has it: DATA/refcoco/refs(unc).p, DATA/refcoco+/refs(unc).p, "
    "DATA/refcocog/refs(umd).p or DATA/grefcoco/grefs(unc).json, instances.json beside it, and COCO's pictures in "
    f"DATA/{PICTURES[0]} (or DATA/{', DATA/'.join(PICTURES[1:])}); or a parquet set of Ricky06662, such as refcoco_val."
)
_NO_TARGET = -1


@dataclass(frozen=True)
class _Expression:
    id: str
    query: str
    picture: int
    objects: tuple[int, ...]


class RefCOCO:
    """Read one of these data sets; InputError names a missing or broken file, MediaError a broken picture."""

    def __init__(self, name: str, data: Path, split: str = "val", n: int | None = None) -> None:
        self.name = name
        expressions = _expressions(_refs_file(name, data, split), split.rpartition("-")[2])
        self._expressions = expressions[: at_most(len(expressions), n)]
        self._folder = _picture_folder(data)
        path = data / name / "instances.json"
        with boundary(InputError, f"{path} is no list of images and annotations", remedy=LAYOUT):
            instances = _load(path)
            pictures = {one.picture for one in self._expressions}
            objects = {number for one in self._expressions for number in one.objects}
            self._pictures = {one["id"]: one for one in instances["images"] if one["id"] in pictures}
            self._objects = {one["id"]: one for one in instances["annotations"] if one["id"] in objects}

    def __len__(self) -> int:
        return len(self._expressions)

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        one = self._expressions[range(len(self))[index]]
        path, height, width = self._picture(one.picture)
        media = open_media(path)
        if (media.height, media.width) != (height, width):
            raise MediaError(
                f"{path} has {media.width}x{media.height} pixels, its annotations {width}x{height}.",
                remedy="Take COCO's own pictures of train2014.",
            )
        masks = [self._mask(number, height, width) for number in one.objects]
        return Sample(one.id, one.query, media.frames, on_picture(*masks))

    def _picture(self, number: int) -> tuple[Path, int, int]:
        with boundary(InputError, f"instances.json lacks picture {number}", remedy=LAYOUT):
            entry = self._pictures[number]
            # The last part alone: what a file says must not lead out of the folder.
            path = self._folder / PurePosixPath(entry["file_name"]).name
            height, width = int(entry["height"]), int(entry["width"])
        if not path.is_file():
            raise InputError(f"{path} is missing.", remedy=LAYOUT)
        return path, height, width

    def _mask(self, number: int, height: int, width: int) -> Mask:
        with boundary(InputError, f"instances.json lacks object {number}", remedy=LAYOUT):
            segmentation = self._objects[number]["segmentation"]
        return annotated_mask(segmentation, height, width)


def _refs_file(name: str, data: Path, split: str) -> Path:
    """Return the file of a split's partition; InputError for a partition that is not published."""
    by = split.rpartition("-")[0] or PARTITIONS[name][0]
    if by not in PARTITIONS[name]:
        raise InputError(f"nobody named {by!r} partitioned {name}.", remedy=f"Known are {', '.join(PARTITIONS[name])}.")
    return data / name / (f"grefs({by}).json" if name == "grefcoco" else f"refs({by}).p")


def _expressions(path: Path, part: str) -> list[_Expression]:
    """Return the expressions of a split in order; InputError if there are none."""
    with boundary(InputError, f"{path} is no list of references", remedy=LAYOUT):
        refs = _load(path)
        found = [_expression(ref, sentence) for ref in refs if ref["split"] == part for sentence in ref["sentences"]]
        splits = sorted({str(ref["split"]) for ref in refs})
    if not found:
        raise InputError(f"{path} has no split {part!r}.", remedy=f"It has {', '.join(splits) or 'none at all'}.")
    return found


def _expression(ref: dict[str, Any], sentence: dict[str, Any]) -> _Expression:
    objects = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
    return _Expression(
        id=f"{int(ref['ref_id'])}-{int(sentence['sent_id'])}",
        query=str(sentence["sent"]).strip(),
        picture=int(ref["image_id"]),
        objects=tuple(int(number) for number in objects if number != _NO_TARGET),
    )


def _picture_folder(data: Path) -> Path:
    for place in PICTURES:
        if (data / place).is_dir():
            return data / place
    raise InputError(f"{data / PICTURES[0]} is missing.", remedy=LAYOUT)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is missing.", remedy=LAYOUT)
    if path.suffix == ".p":
        return load_plain_pickle(path, remedy=LAYOUT)
    with boundary(InputError, f"{path} cannot be read", remedy=LAYOUT):
        return json.loads(path.read_bytes())
