"""EviLens (EviRover, arXiv 2609.40230; kxfan2002/evirover): what one look does not tell, and a search or a closer does.

    DATA/segmentation.jsonl                          id, description, image_tag, image_path, mask_path_benchmark, …
    DATA/grounding/{recognition,localization}.jsonl  the same with bbox_1000_xyxy, x1 y1 x2 y2 of 0 to 1000, and no mask
    DATA/images/<image_tag>/<image_path>             picture
    DATA/<mask_path_benchmark>                       mask; black and white, whatever its transparency says

DATA is the repository's EviLens/benchmark, or a folder above it. Questions and masks are in the repository, the
pictures come from bunny127/EviLens by its scripts/download_images.py. `group` is where a picture is from. Differences
between two panels, which stand in localization.jsonl but are a task of their own, and counting are left out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evals.datasets.base import Sample, at_most, on_picture
from evals.datasets.mask_pictures import fit_mask, read_mask
from evals.datasets.places import below
from tools.errors import InputError, boundary
from tools.media import open_media
from tools.segmenters.base import Box

FILES = {
    "segmentation": "segmentation.jsonl",
    "recognition": "grounding/recognition.jsonl",
    "localization": "grounding/localization.jsonl",
}
"""Split → file of its questions; the first is asked for masks, the others for boxes."""
LAYOUT = (
    "Clone github.com/kxfan2002/evirover and run EviLens/scripts/download_images.py there; DATA is EviLens/benchmark, "
    "with segmentation.jsonl, grounding/, masks/ and images/<image_tag>/."
)
_PLACES = (".", "benchmark", "EviLens/benchmark")
_TEXTS = ("id", "description", "task", "image_tag", "image_path")
_TASKS = ("segmentation", "grounding_bbox")


class EviLens:
    """Read the questions of a split, which `FILES` has, for a mask or a box; a box is filled for its mask.

    InputError names a missing or broken file, MediaError a broken picture.
    """

    name = "evi-lens"

    def __init__(self, data: Path, split: str = "segmentation", n: int | None = None) -> None:
        places = (data / place for place in _PLACES)
        self._folder = next((place for place in places if (place / FILES[split]).is_file()), data)
        questions = _questions(self._folder / FILES[split])
        self._questions = questions[: at_most(len(questions), n)]

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        one = self._questions[range(len(self))[index]]
        media = open_media(self._file("images", one["image_tag"], one["image_path"]))
        query, group = one["description"].strip(), str(one.get("_source_file", "")).partition("_")[0]
        if one["task"] == "segmentation":
            path = self._file(str(one.get("mask_path_benchmark")))
            mask = fit_mask(read_mask(path), media.height, media.width, path)
            return Sample(one["id"], query, media.frames, on_picture(mask), group)
        box = _box(one, media.height, media.width)
        filled = np.zeros((media.height, media.width), np.bool_)
        left, top, right, bottom = (round(number) for number in box)
        filled[top:bottom, left:right] = True
        return Sample(one["id"], query, media.frames, on_picture(filled), group, boxes=(box,))

    def _file(self, *parts: str) -> Path:
        """Return a file below the folder; InputError if it is missing, or if its name leads elsewhere."""
        path = below(self._folder, *parts)
        if not path.is_file():
            raise InputError(f"{path} is missing.", remedy=LAYOUT)
        return path


def _box(question: dict[str, Any], height: int, width: int) -> Box:
    with boundary(InputError, f"the box of {question['id']} is none", remedy=LAYOUT):
        x1, y1, x2, y2 = (float(number) / 1000 for number in question["bbox_1000_xyxy"])
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise InputError(f"the box of {question['id']} is none within the picture.", remedy=LAYOUT)
    return x1 * width, y1 * height, x2 * width, y2 * height


def _questions(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path} is missing.", remedy=LAYOUT)
    with boundary(InputError, f"{path} cannot be read", remedy=LAYOUT):
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in _TEXTS):
            raise InputError(f"{path}, question {number}, lacks one of {', '.join(_TEXTS)}.", remedy=LAYOUT)
    return [one for one in found if one["task"] in _TASKS]
