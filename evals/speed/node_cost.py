"""The graph's own cost per node, policy and tools stubbed: what is left is rendering, parsing, state and LangGraph.

Run `python -m evals.speed.node_cost [--episodes N] [--concurrency N] [--json]`.
"""

import asyncio
import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from graphs.context import Context
from graphs.dialects.seg_research import answer_turn, keyframe_turn, search_turn
from graphs.episode import EpisodeResult, Task, run_episode
from graphs.events import Event, NodeFinished
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import get_profile
from tools.image_store import Image
from tools.search.base import ImageHit, TextHit
from tools.segmenters.base import Frames, Prompt, Segment

SIDE, FRAMES = 448, 16
NODES = ("plan", "search", "observe", "reason", "localize")
SCRIPT = (
    search_turn("Who won it must be looked up.", "text_search", "winner of the 2031 Helsa Cup"),
    search_turn("Now the emblem of that team.", "text_search", "emblem of the Otters of Quell"),
    keyframe_turn("Frame 10 shows it best.", 10),
    answer_turn("The green crescent at the left.", (0.2, 0.3, 0.4, 0.6), (0.3, 0.45)),
)


class InstantSearch:
    """Two hits at once."""

    name = "instant"

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return the same hits for every query."""
        return [TextHit(f"Record {n}", f"What the record says about {query}. " * 6, str(n), 1.0) for n in range(limit)]

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return nothing."""
        return []


class InstantSegmenter:
    """The same disc in every frame."""

    name = "instant"

    def __init__(self) -> None:
        y, x = np.mgrid[:SIDE, :SIDE]
        self._disc = (x - 150) ** 2 + (y - 200) ** 2 < 60**2

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Return one disc per prompt."""
        return [Segment(self._disc, 1.0) for _ in prompts]

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Yield one disc per prompt and frame."""
        for index in range(len(frames)):
            yield index, [Segment(self._disc, 1.0) for _ in prompts]


async def measure(episodes: int, concurrency: int) -> dict[str, Any]:
    """Run scripted episodes (search, search, keyframe, answer on 16 frames of 448 pixels) and time their nodes.

    Per node: milliseconds of one visit, median and 95th percentile, of episodes run one after another. Then whole
    episodes: milliseconds one after another, what of it lies outside all nodes, processor time (which a busy machine
    does not inflate), and episodes/s at `concurrency`.
    """
    clip = list(np.random.default_rng(0).integers(0, 255, (FRAMES, SIDE, SIDE, 3), np.uint8))
    task = Task("the emblem of the team that won the 2031 Helsa Cup", clip)
    visits: dict[str, list[float]] = {node: [] for node in NODES}

    def listen(event: Event) -> None:
        if isinstance(event, NodeFinished):
            visits[event.node].append(event.seconds * 1000)

    quiet = Context(
        policy=ReplayPolicy(SCRIPT),
        dialect=get_profile("embedded").make_dialect(),
        search=InstantSearch(),
        segmenter=InstantSegmenter(),
    )
    loud = replace(quiet, sink=listen)
    await run_episode(task, quiet)  # warm up
    whole, inside = [], []
    cpu = process_time()
    for _ in range(episodes):
        start = perf_counter()
        result = await run_episode(task, loud)
        whole.append((perf_counter() - start) * 1000)
        inside.append(sum(result.usage.seconds.values()) * 1000)
    cpu = (process_time() - cpu) * 1000 / episodes
    gate = asyncio.Semaphore(concurrency)

    async def one() -> EpisodeResult:
        async with gate:
            return await run_episode(task, quiet)

    start = perf_counter()
    results = await asyncio.gather(*(one() for _ in range(episodes)))
    rate = episodes / (perf_counter() - start)
    assert all(result.found for result in results)
    return {
        "episodes": episodes,
        "nodes": {node: _summary(times) | {"visits": len(times) / episodes} for node, times in visits.items()},
        "episode_ms": _summary(whole),
        "langgraph_ms": _summary([a - b for a, b in zip(whole, inside, strict=True)]),
        "cpu_ms_per_episode": round(cpu, 3),
        "concurrency": concurrency,
        "episodes_per_second": round(rate, 1),
    }


def _summary(times: Sequence[float]) -> dict[str, float]:
    return {
        "p50": round(statistics.median(times), 3),
        "p95": round(float(np.percentile(times, 95)), 3),
        "mean": round(statistics.fmean(times), 3),
    }


def main(
    episodes: Annotated[int, typer.Option(help="How many episodes to run, each way.")] = 200,
    concurrency: Annotated[int, typer.Option(help="Episodes in flight for the throughput.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Measure the graph's own cost per node, with policy and tools stubbed."""
    report = asyncio.run(measure(episodes, concurrency))
    console = Console()
    if as_json:
        console.print(json.dumps(report), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table("node", "visits", "p50 ms", "p95 ms", "mean ms", title="The graph's own cost")
    rows = {**report["nodes"], "whole episode": report["episode_ms"], "outside all nodes": report["langgraph_ms"]}
    for name, row in rows.items():
        table.add_row(name, f"{row.get('visits', 1):g}", *(f"{row[key]:.3f}" for key in ("p50", "p95", "mean")))
    console.print(table)
    console.print(f"{report['cpu_ms_per_episode']} ms of processor time an episode")
    console.print(f"{report['episodes_per_second']} episodes/s at concurrency {concurrency}")


if __name__ == "__main__":
    typer.run(main)
