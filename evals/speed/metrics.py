"""Milliseconds of each metric for one pair of pictures, beside the library that it replaces, in one run on one core.

Run `python -m evals.speed.metrics [--side PIXELS] [--repeats N] [--json]`. pysodmetrics needs an older numpy and OpenCV
than this project allows: to see its columns, run this in an environment of its own
(`pip install pysodmetrics==1.6.2 pycocotools rich typer`, this folder on PYTHONPATH). Without it they stay empty.
"""

import importlib
import importlib.util
import json
import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from time import perf_counter
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from pycocotools import mask as coco
from rich.console import Console
from rich.table import Table

from evals.metrics.boundary import boundary_f
from evals.metrics.e_measure import e_measure
from evals.metrics.f_measure import f_measure
from evals.metrics.mae import mean_absolute_error
from evals.metrics.overlap import mask_iou
from evals.metrics.panoptic import Panoptic, Segment, count_segments
from evals.metrics.referring import count_overlap
from evals.metrics.semantic import count_classes
from evals.metrics.soft_structure import soft_structure_measure
from evals.metrics.structure import structure_measure
from evals.metrics.weighted_f_measure import weighted_f_measure

CLASSES, SEGMENTS = 150, 20
Levels = NDArray[np.uint8]
Measure = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A metric on one kind of pictures; milliseconds, the median of the repeats, None where there is no oracle here.

    `difference` is that of the two scores: adaptive and mean of E and F, the larger.
    """

    metric: str
    pictures: str
    ms: float
    oracle: str | None = None
    oracle_ms: float | None = None
    difference: float | None = None


def measure(side: int, repeats: int) -> list[Row]:
    """Time all metrics on pictures of `side` by `side` pixels, the metric and its oracle in turns."""
    cv2.setNumThreads(1)
    levels, truth = draw(side)
    mask: Levels = np.where(levels > 127, np.uint8(255), np.uint8(0))
    rows = [_overlap(mask > 0, truth, repeats)]
    for name, pictures in (("mask", mask), ("soft", levels)):
        rows += [_compared(metric, name, pictures, truth, repeats) for metric in _SALIENCY]
    return rows + [Row(*names, _milliseconds(call, repeats)[0]) for names, call in _others(mask > 0, truth)]


def draw(side: int) -> tuple[Levels, NDArray[np.bool_]]:
    """Return a soft map, uint8, and a true mask, bool, both (side, side): a third is object, the map is a bit off."""
    truth = np.zeros((side, side), np.uint8)
    for x, y, radius in ((0.4, 0.45, 0.3), (0.75, 0.7, 0.12), (0.2, 0.85, 0.05)):
        cv2.circle(truth, (int(x * side), int(y * side)), int(radius * side), 1, -1)
    moved = np.roll(truth, (side // 50, side // 40), (0, 1))
    noise = np.random.default_rng(0).random((side, side))
    guess = cv2.GaussianBlur(0.9 * moved + 0.1 * noise, (0, 0), side / 200)
    return np.rint(255 * guess).astype(np.uint8), truth.astype(np.bool_)


def _overlap(mask: NDArray[np.bool_], truth: NDArray[np.bool_], repeats: int) -> Row:
    def by_coco() -> float:
        one, other = (coco.encode(np.asfortranarray(picture, np.uint8)) for picture in (mask, truth))
        return float(coco.iou([one], [other], [False])[0, 0])

    ours, theirs = _milliseconds(lambda: mask_iou(mask, truth), repeats, by_coco)
    return Row("IoU", "mask", ours, "pycocotools", theirs, abs(mask_iou(mask, truth) - by_coco()))


def _compared(metric: str, name: str, pictures: Levels, truth: NDArray[np.bool_], repeats: int) -> Row:
    ours = _SALIENCY[metric]
    library = _library()
    if library is None:
        return Row(metric, name, _milliseconds(lambda: ours(pictures, truth), repeats)[0])
    bright = truth * np.uint8(255)

    def theirs() -> list[float]:
        one = getattr(library, metric)()
        one.step(pictures, bright)
        found = next(iter(one.get_results().values()))
        return [found["adp"], found["curve"].mean()] if isinstance(found, dict) else [found]

    ms, oracle_ms = _milliseconds(lambda: ours(pictures, truth), repeats, theirs)
    difference = float(np.abs(np.subtract(ours(pictures, truth), theirs())).max())
    return Row(metric, name, ms, f"pysodmetrics {version('pysodmetrics')}", oracle_ms, difference)


def _others(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Iterator[tuple[tuple[str, str], Measure]]:
    """Yield what has no library to compare with: its oracles are in the tests."""
    yield ("S of masks", "mask"), lambda: structure_measure(mask, truth)
    yield ("boundary F", "mask"), lambda: boundary_f(mask, truth)
    yield ("gIoU and cIoU", "mask"), lambda: count_overlap(mask, truth, mask ^ truth)
    side = len(mask)
    blocks = np.arange(side) * SEGMENTS // side
    labels = np.broadcast_to(blocks, mask.shape) + 1
    guess = np.roll(labels, side // 100, axis=1)
    yield (f"mIoU of {CLASSES} classes", "labels"), lambda: count_classes(guess, labels, CLASSES)
    segments = [Segment(one, one % 7) for one in range(1, SEGMENTS + 1)]
    ours, theirs = Panoptic(guess, segments), Panoptic(labels, segments)
    yield (f"PQ of {SEGMENTS} segments", "labels"), lambda: count_segments(ours, theirs, 7)


def _both(scores: Any) -> list[float]:
    return [scores.adaptive, scores.mean]


_SALIENCY: dict[str, Callable[[Levels, NDArray[np.bool_]], list[float]]] = {
    "MAE": lambda predicted, truth: [mean_absolute_error(predicted, truth)],
    "Smeasure": lambda predicted, truth: [soft_structure_measure(predicted, truth)],
    "Emeasure": lambda predicted, truth: _both(e_measure(predicted, truth)),
    "Fmeasure": lambda predicted, truth: _both(f_measure(predicted, truth)),
    "WeightedFmeasure": lambda predicted, truth: [weighted_f_measure(predicted, truth)],
}
"""By the names of pysodmetrics."""


def _library() -> Any:
    """Return pysodmetrics, or None where it is not installed."""
    if importlib.util.find_spec("py_sod_metrics") is None:
        return None
    warnings.filterwarnings("ignore", "This class will be removed")
    return importlib.import_module("py_sod_metrics")


def _milliseconds(call: Measure, repeats: int, *others: Measure) -> list[float]:
    """Return the median of each call's milliseconds; calls take turns, so that a busy machine is busy for all."""
    spent: list[list[float]] = [[] for _ in (call, *others)]
    for turn in range(repeats + 1):
        for found, one in zip(spent, (call, *others), strict=True):
            start = perf_counter()
            one()
            if turn:  # the first warms up
                found.append(1000 * (perf_counter() - start))
    return [round(statistics.median(found), 3) for found in spent]


def main(
    side: Annotated[int, typer.Option(help="Pixels of a side.", min=16)] = 1024,
    repeats: Annotated[int, typer.Option(help="Repetitions of each measurement.", min=1)] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Time every metric, beside what it replaces where that is installed."""
    rows = measure(side, repeats)
    if as_json:
        typer.echo(json.dumps({"side": side, "repeats": repeats, "rows": [asdict(row) for row in rows]}))
        return
    table = Table("metric", "pictures", "ms", "oracle", "its ms", "difference", title=f"One pair of {side} x {side}")
    for row in rows:
        beside = ("", "", "") if row.oracle is None else (row.oracle, f"{row.oracle_ms:.1f}", f"{row.difference:.0e}")
        table.add_row(row.metric, row.pictures, f"{row.ms:.1f}", *beside)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
