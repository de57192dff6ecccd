"""How fast Emblems is drawn on one core: what training and evaluation wait for.

Run `python -m evals.speed.emblems [--clips N] [--json]`.
"""

import asyncio
import json
from collections.abc import Callable
from time import perf_counter
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from evals.emblems.clips import make_clip
from evals.emblems.knowledge import EmblemSearch, world_knowledge
from evals.emblems.tasks import ABILITIES, draw_task, shown_frames
from evals.emblems.world import ALL_EMBLEMS, make_world
from evals.metrics.boundary import boundary_f
from tools.media import resize_square


def measure(clips: int) -> dict[str, float]:
    """Time the parts over `clips` repetitions each, after warming the caches that workers keep.

    clips: a clip drawn and its four shown frames rendered at 448 and shrunk to 224 pixels; frames: one frame of 448
    with its id map; tasks: a task with its clip's motion, nothing rendered; the rest is milliseconds of one call.
    """
    cv2.setNumThreads(1)
    rng, world = np.random.default_rng(0), make_world("train", 0)

    def clip() -> None:
        drawn = make_clip(rng, [ALL_EMBLEMS[int(i)] for i in rng.integers(len(ALL_EMBLEMS), size=5)])
        for frame in shown_frames(len(drawn)):
            resize_square(drawn[frame], 224)

    numbers = iter(range(10**9))
    steady = make_clip(rng, ALL_EMBLEMS[::64])

    def frame() -> None:
        steady.render(next(numbers) % len(steady))

    def task() -> None:
        draw_task(rng, world, ABILITIES[next(numbers) % len(ABILITIES)], "")

    def score() -> None:
        boundary_f(steady.mask(0, 1), steady.mask(1, 1))

    search = EmblemSearch(world)

    def look_up() -> None:
        name = world.teams[next(numbers) % len(world.teams)].name
        asyncio.run(search.search_text(f"emblem of the {name}", 2))

    return {
        "clips_per_second": 1 / _seconds(clip, clips),
        "frames_per_second": 1 / _seconds(frame, clips),
        "tasks_per_second": 1 / _seconds(task, clips),
        "search_ms": 1000 * _seconds(look_up, clips),
        "boundary_f_448_ms": 1000 * _seconds(score, clips),
        "world_with_index_ms": 1000 * _seconds(lambda: world_knowledge(make_world("train", next(numbers))), 3),
    }


def _seconds(call: Callable[[], object], times: int) -> float:
    for _ in range(max(1, times // 2)):
        call()
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times


def main(
    clips: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Measure how fast Emblems draws, searches and scores on one core."""
    report = {name: round(value, 3) for name, value in measure(clips).items()}
    if as_json:
        typer.echo(json.dumps(report))
        return
    table = Table("what", "how fast", title="Emblems on one core")
    for name, value in report.items():
        table.add_row(name, f"{value:,.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
