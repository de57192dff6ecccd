"""Rows of a labelled folder as one COCO file, which pycocotools and most annotation tools read as it is."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent.versions import segscout_version
from evals.runs.work import PlainRow
from tools.errors import InputError, boundary

SCHEMA = "segscout.labels/1"


class Dataset:
    """COCO's object format, put together row by row; the categories are the queries.

    There is an image per picture, also where nothing was found in it, and per frame of a clip that has masks. An
    annotation says in `instance_id` which frames show the same object, and in `run` which of `info.runs` found it:
    there is how each file ended with each query, the evidence, and what failed.
    """

    def __init__(self, queries: Sequence[str]) -> None:
        self._categories = {query: number for number, query in enumerate(queries, 1)}
        self._images: dict[tuple[str, int], dict[str, Any]] = {}
        self._annotations: list[dict[str, Any]] = []
        self._runs: list[dict[str, Any]] = []
        self._instances = 0

    def add(self, row: PlainRow) -> None:
        """Take in the row of an item."""
        result = row["result"] or {"keyframe": None, "evidence": []}
        told = {"file": row["file"], "query": row["query"], "ending": row["ending"], "failure": row["failure"]}
        self._runs.append(told | {"keyframe": result["keyframe"], "evidence": result["evidence"]})
        if row["result"] is None:
            return
        media, coco = row["result"]["media"], row["coco"]
        size = {"width": media["width"], "height": media["height"]}
        seen = [image["frame"] for image in coco["images"]] if media["kind"] == "video" else [0]
        images = {frame: self._image(row["file"], frame, size) for frame in seen}
        labels = {category["id"]: category["name"] for category in coco["categories"]}
        for annotation in coco["annotations"]:
            self._annotate(annotation, row["query"], images, labels)
        self._instances += len(row["result"]["instances"])

    def to_plain(self) -> dict[str, Any]:
        """Return the file as JSON holds it."""
        return {
            "info": {"schema": SCHEMA, "segscout": segscout_version(), "runs": self._runs},
            "images": list(self._images.values()),
            "categories": [{"id": number, "name": query} for query, number in self._categories.items()],
            "annotations": self._annotations,
        }

    def _image(self, file: str, frame: int, size: Mapping[str, int]) -> int:
        new = {"id": len(self._images) + 1, "file_name": file, "frame": frame, **size}
        number: int = self._images.setdefault((file, frame), new)["id"]
        return number

    def _annotate(
        self, found: Mapping[str, Any], query: str, images: Mapping[int, int], labels: Mapping[int, str]
    ) -> None:
        label = labels[found["category_id"]]
        ours = {
            "id": len(self._annotations) + 1,
            "image_id": images[found["image_id"]],
            "category_id": self._categories[query],
            "instance_id": self._instances + found["instance_id"],
            "run": len(self._runs) - 1,
        }
        self._annotations.append({**found, **ours, **({} if label == query else {"label": label})})


def write_dataset(rows: Iterable[PlainRow], queries: Sequence[str], path: Path) -> dict[str, Any]:
    """Write the rows of all items as COCO and return it; an earlier file stays until this one is complete.

    Raises InputError if it cannot be written.
    """
    dataset = Dataset(queries)
    for row in rows:
        dataset.add(row)
    plain = dataset.to_plain()
    with boundary(InputError, f"{path} cannot be written", remedy="Check the folder and the room on its disk."):
        handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with ExitStack() as undone:
            undone.callback(os.unlink, unfinished)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(plain, file)  # in ASCII: a file's name may be no Unicode
            os.chmod(unfinished, 0o644)  # mkstemp makes it private
            os.replace(unfinished, path)
            undone.pop_all()
    return plain
