"""EviLens (EviRover, arXiv 2609.40230; kxfan2002/evirover): people and figures that must be looked up, to be cut out.

    DATA/segmentation.jsonl                          id, description, image_tag, image_path, mask_path_benchmark, …
    DATA/images/<image_tag>/<image_path>             picture
    DATA/<mask_path_benchmark>                       mask; black and white, whatever its transparency says

DATA is the repository's EviLens/benchmark, or a folder above it. Questions and masks are in the repository, the
pictures come from bunny127/EviLens by its scripts/download_images.py. `group` is where a picture is from.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from evals.datasets.base import Sample, at_most, on_picture
from evals.datasets.image_masks import fit_mask, read_mask
from tools.errors import InputError, boundary
from tools.media import open_media

LAYOUT = (
    "Clone github.com/kxfan2002/evirover and run EviLens/scripts/download_images.py there; DATA is EviLens/benchmark, "
    "with segmentation.jsonl, masks/ and images/<image_tag>/."
)
_QUESTIONS = "segmentation.jsonl"
_PLACES = (".", "benchmark", "EviLens/benchmark")
_TEXTS = ("id", "description", "image_tag", "image_path", "mask_path_benchmark")


class EviLensMasks:
    """Read what asks for a mask; InputError names a missing or broken file, MediaError a broken picture."""

    name = "evi-lens"

    def __init__(self, data: Path, n: int | None = None) -> None:
        places = (data / place for place in _PLACES)
        self._folder = next((place for place in places if (place / _QUESTIONS).is_file()), data)
        questions = _questions(self._folder / _QUESTIONS)
        self._questions = questions[: at_most(len(questions), n)]

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        one = self._questions[range(len(self))[index]]
        path = self._file("images", one["image_tag"], one["image_path"])
        mask_path = self._file(one["mask_path_benchmark"])
        media = open_media(path)
        mask = fit_mask(read_mask(mask_path), media.height, media.width, mask_path)
        group = str(one.get("_source_file", "")).removesuffix("_seg")
        return Sample(one["id"], one["description"].strip(), media.frames, on_picture(mask), group)

    def _file(self, *parts: str) -> Path:
        """Return a file below the folder; InputError if it is missing, or if its name leads elsewhere."""
        place = PurePosixPath(*parts)
        if place.is_absolute() or ".." in place.parts:
            raise InputError(f"the name {str(place)!r} leads out of the data set.", remedy="Download it again.")
        path = self._folder / place
        if not path.is_file():
            raise InputError(f"{path} is missing.", remedy=LAYOUT)
        return path


def _questions(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path} is missing.", remedy=LAYOUT)
    with boundary(InputError, f"{path} cannot be read", remedy=LAYOUT):
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for number, one in enumerate(found, 1):
        if not isinstance(one, dict) or not all(isinstance(one.get(name), str) for name in _TEXTS):
            raise InputError(f"{path}, question {number}, lacks one of {', '.join(_TEXTS)}.", remedy=LAYOUT)
    return found
