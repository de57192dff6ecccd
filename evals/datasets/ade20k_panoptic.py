"""ADE20K's validation pictures with panoptic truth, as prepared for Mask2Former in COCO's panoptic format.

    DATA/images/validation/<name>.jpg         ADEChallengeData2016
    DATA/ade20k_panoptic_val.json             images, annotations (file_name, segments_info), categories (isthing)
    DATA/ade20k_panoptic_val/<name>.png       ids, red + 256 green + 65536 blue; 0 is void

Both may lie in DATA/panoptic, as OpenSeg-R has them; DATA may be a folder that holds ADEChallengeData2016. Things were
laid over stuff: what of a segment is left in the PNG counts, and one of which nothing is left does not. COCO's
evaluator takes the areas from before that, and counts the hidden ones as missed.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from evals.datasets.ade20k import CHALLENGE
from evals.datasets.base import at_most
from evals.datasets.label_files import UNPACK, find_root, read_picture
from evals.datasets.labelled import LabelledPicture
from evals.metrics.panoptic import Panoptic, Segment
from graphs.openvocab import Vocabulary
from graphs.openvocab.vocabulary import VocabularyClass, split_names
from tools.errors import InputError, MediaError, boundary
from tools.media import Limits

_REMEDY = "Make it with Mask2Former's or FC-CLIP's prepare_ade20k_pan_seg.py."


class AdePanoptic:
    """Read the pictures in the order of the JSON file.

    InputError names what is missing, and segments that the picture and the file do not agree on; MediaError a broken
    picture.
    """

    def __init__(self, data: Path, n: int | None = None) -> None:
        root = find_root(data, CHALLENGE)
        folder = root / "panoptic" if (root / "panoptic").is_dir() else root
        self._pictures, self._ids = root / "images" / "validation", folder / "ade20k_panoptic_val"
        listed = folder / "ade20k_panoptic_val.json"
        for path in (self._pictures, self._ids, listed):
            if not path.exists():
                raise InputError(f"{path} is missing.", remedy=_REMEDY)
        with boundary(InputError, f"{listed} is not in COCO's panoptic format", remedy=_REMEDY):
            plain = json.loads(listed.read_text(encoding="utf-8"))
            self.vocabulary = _vocabulary(plain["categories"])
            self._places = {int(one["id"]): place for place, one in enumerate(plain["categories"])}
            annotations = [(Path(str(one["file_name"])).stem, one["segments_info"]) for one in plain["annotations"]]
        missing = [stem for stem, _ in annotations if not (self._ids / f"{stem}.png").is_file()]
        missing += [stem for stem, _ in annotations if not (self._pictures / f"{stem}.jpg").is_file()]
        if missing:
            raise InputError(
                f"the picture or the segments of {missing[0]} are missing, one of {len(missing)} files in "
                f"{self._pictures} and {self._ids}.",
                remedy=UNPACK,
            )
        self._annotations: list[tuple[str, list[Mapping[str, Any]]]] = annotations[: at_most(len(annotations), n)]

    def __len__(self) -> int:
        return len(self._annotations)

    def __getitem__(self, index: int, /) -> LabelledPicture[Panoptic]:
        """Read the segments of a picture, their categories as places in the vocabulary; IndexError beyond the last."""
        name, listed = self._annotations[range(len(self))[index]]
        path = self._ids / f"{name}.png"
        ids = read_ids(path)
        there = set(np.unique(ids).tolist())
        with boundary(InputError, f"the segments of {path} cannot be read", remedy=_REMEDY):
            segments = [
                Segment(int(one["id"]), self._places[int(one["category_id"])], crowd=bool(one.get("iscrowd", 0)))
                for one in listed
                if int(one["id"]) in there
            ]
        if unknown := there - {0} - {segment.id for segment in segments}:
            raise InputError(f"{path} has segments that the JSON file lacks: {min(unknown)}.", remedy=_REMEDY)
        size = (ids.shape[0], ids.shape[1])
        return LabelledPicture(
            name, size, Panoptic(ids, segments), partial(read_picture, self._pictures / f"{name}.jpg", size)
        )


def read_ids(path: Path) -> NDArray[np.int32]:
    """Read the ids of COCO's panoptic PNG, (height, width); MediaError if it is none."""
    with boundary(MediaError, f"the segments {path} cannot be read", remedy=UNPACK):
        with PIL.Image.open(path, formats=("PNG",)) as picture:
            Limits().check_frame(picture.width, picture.height, path.name)
            colours = np.asarray(picture).astype(np.int32)
        if colours.ndim != 3 or colours.shape[2] != 3:
            raise MediaError(f"{path} has no three bytes a pixel.", remedy=_REMEDY)
        return np.asarray(colours @ np.array([1, 256, 65536], np.int32), np.int32)


def _vocabulary(categories: Sequence[Mapping[str, Any]]) -> Vocabulary:
    return Vocabulary(
        tuple(
            VocabularyClass(number, split_names(str(one["name"])), thing=bool(one["isthing"]))
            for number, one in enumerate(categories, 1)
        )
    )
