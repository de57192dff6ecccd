"""The training sets of Seg-Zero and VisionReasoner (Ricky06662 on the hub, arXiv 2503.06520 and 2505.12081), parquet.

Columns: id, problem, solution, image (already 840x840), img_height, img_width (of the original). `solution` is either
Seg-Zero's `<box>(x1,y1),(x2,y2)</box><points>(x,y),(x,y)</points>` or VisionReasoner's JSON list of
{"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]}.

Truth is in pixels of the 840x840 picture as published, NOT in units of 0..1000: the rewards' thresholds are pixels too.
There are no masks, so a reward must compare boxes and points.
"""

import json
import re
from pathlib import Path

from evals.datasets.base import at_most
from evals.datasets.parquet import ParquetRows, decode_picture, find_parquet
from graphs.episode import Task
from rl.rewards.base import FrameTruth, ObjectTruth, Point, Truth
from rl.tasks.base import TrainingTask
from tools.errors import InputError, boundary

SIDE = 840
"""Side of the published pictures in pixels, and the scale of truth."""
LAYOUT = (
    "Download Ricky06662/refCOCOg_2k_840, refCOCOg_9k_840 or VisionReasoner_multi_object_{1k,7k}_840, so that "
    "DATA/data/<split>-*.parquet has columns id, problem, solution, image, img_height and img_width."
)
_COLUMNS = ("id", "problem", "solution", "image")
_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_PAIR = re.compile(rf"\({_NUMBER},{_NUMBER}\)")
_SEG_ZERO = re.compile(r"\s*<box>(?P<box>[^<]*)</box>\s*<points>(?P<points>[^<]*)</points>\s*")


class VisionReasonerSource:
    """Read the tasks of one of these sets; InputError names a missing or broken file, MediaError a broken picture."""

    name = "vision-reasoner"

    def __init__(self, data: Path, split: str = "train", n: int | None = None) -> None:
        self._rows = ParquetRows(find_parquet(data, split, LAYOUT), _COLUMNS, LAYOUT)
        self._count = at_most(len(self._rows), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Load a task; IndexError beyond the last."""
        row = self._rows.row(range(len(self))[index], _COLUMNS)
        name = str(row["id"])
        objects = read_solution(str(row["solution"]), name)
        truth = Truth({0: FrameTruth(objects)} if objects else {})
        task = Task(str(row["problem"]).strip(), decode_picture(row["image"], f"picture {name}"))
        return TrainingTask(name, task, truth, masks=None, units=SIDE)


def read_solution(solution: str, name: str = "the task") -> tuple[ObjectTruth, ...]:
    """Read either form of a published solution, in 840-pixel space; InputError, with `name`, if it is neither.

    Seg-Zero's has one object with two points, the centres of its two largest inscribed circles; an empty list has none.
    """
    with boundary(InputError, f"the solution of {name} cannot be read", remedy=LAYOUT):
        match = _SEG_ZERO.fullmatch(solution)
        if match is None:
            return tuple(_listed(item["bbox_2d"], item["point_2d"]) for item in json.loads(solution))
        (left, top), (right, bottom) = _pairs(match["box"])
        first, second = _pairs(match["points"])
        return (ObjectTruth((left, top, right, bottom), first, second),)


def _listed(box: list[float], point: list[float]) -> ObjectTruth:
    left, top, right, bottom = (float(value) for value in box)
    x, y = (float(value) for value in point)
    return ObjectTruth((left, top, right, bottom), (x, y))


def _pairs(text: str) -> list[Point]:
    return [(float(x), float(y)) for x, y in _PAIR.findall(text)]
