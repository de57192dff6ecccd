"""Episodes a second by the chat endpoint and by the token endpoint of one vLLM server, on the same tasks.

Run `python -m evals.speed.endpoints http://localhost:8000 [--tasks 64] [--group 8] [--concurrency 64] [--processes 4]`
beside a server of the embedded policy. Nothing is cut, so that policy and server are what is timed: chat sends every
picture with every turn, tokens send it once; `scored` are tokens with their log-probabilities, as training asks for
them. With `--group 8` eight episodes share a clip, as in training; `--group 1`
gives every episode a clip of its own. Clips are drawn before the clock starts.
"""

import asyncio
import json
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Barrier, BrokenBarrierError
from time import perf_counter, process_time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evals.contexts import open_policy
from evals.emblems.knowledge import EmblemSearch
from evals.speed.server_metrics import read_seconds
from graphs.context import Context
from graphs.endings import Ending
from graphs.episode import EpisodeResult, run_episode
from graphs.policies.base import Policy, Sampling
from graphs.policies.loading import TOKENS
from graphs.policies.vllm_tokens import VLLMTokenPolicy
from graphs.profiles import get_profile
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource

NODES = ("plan", "search", "observe", "reason", "localize")
_WARM_UP = 8

_barrier: Barrier  # of the process that measures and those that play


class Endpoint(StrEnum):
    """How the server is asked."""

    CHAT = "chat"
    TOKENS = "tokens"
    SCORED = "scored"


@dataclass(frozen=True)
class Share:
    """What one process plays: `group` episodes of each clip from `first` on, `concurrency` under way at once."""

    url: str
    endpoint: Endpoint
    first: int
    clips: int
    group: int
    concurrency: int


@dataclass(frozen=True)
class Played:
    """What became of a share; `start` and `end` are seconds of the machine's clock, `cpu` of the processor."""

    start: float
    end: float
    cpu: float
    rightly: int
    endings: Counter[str]
    turns: int
    nodes: dict[str, float]


def compare(
    url: str, *, clips: int, group: int, concurrencies: Sequence[int], endpoints: Sequence[Endpoint], processes: int
) -> list[dict[str, Any]]:
    """Measure each endpoint at each concurrency, each time on clips that the server has not seen."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(processes + 1)
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(processes, spawn, initializer=_join, initargs=(barrier,)) as pool:
        for endpoint in endpoints:
            for concurrency in concurrencies:
                first = len(rows) * (clips + processes * _WARM_UP)
                shares = _share_out(Share(url, endpoint, first, clips, group, concurrency), processes)
                playing = [pool.submit(play, share) for share in shares]
                for each in playing:
                    each.add_done_callback(lambda done: barrier.abort() if done.exception() else None)
                before = _start(url, barrier)
                played = [each.result() for each in playing]
                after = read_seconds(url)
                told = {key: after[key] - before[key] for key in before}
                rows.append({"endpoint": endpoint.value, **_shape(shares, played), **_summarise(played, told)})
    return rows


def play(share: Share) -> Played:
    """Draw clips, warm up on others, wait until all processes have, and play."""
    source = EmblemsSource("test", 41, 1_000_000)
    return asyncio.run(_play(share, EmblemSearch(source.world), _draw(source, share.first, _WARM_UP + share.clips)))


def _start(url: str, barrier: Barrier) -> dict[str, float]:
    """Wait until all are warm, read the server's seconds, and let them go; where one failed, its result tells."""
    with suppress(BrokenBarrierError):
        barrier.wait()
        before = read_seconds(url)
        barrier.wait()
        return before
    return {}


async def _play(share: Share, search: EmblemSearch, tasks: Sequence[TrainingTask]) -> Played:
    policy = await _open(share)
    await asyncio.gather(*(_episode(task, 0, policy, search) for task in tasks[:_WARM_UP]))
    wanted = [(task, 1 + k) for task in tasks[_WARM_UP:] for k in range(share.group)]
    gate = asyncio.Semaphore(share.concurrency)

    async def one(task: TrainingTask, seed: int) -> EpisodeResult:
        async with gate:
            return await _episode(task, seed, policy, search)

    _barrier.wait()
    _barrier.wait()
    start, cpu = perf_counter(), process_time()
    results = await asyncio.gather(*(one(task, seed) for task, seed in wanted))
    return Played(
        start,
        perf_counter(),
        process_time() - cpu,
        sum(_answers(result, task) for (task, _), result in zip(wanted, results, strict=True)),
        Counter(result.ending.value for result in results),
        sum(result.usage.turns for result in results),
        {node: sum(result.usage.seconds.get(node, 0.0) for result in results) for node in NODES},
    )


async def _open(share: Share) -> Policy:
    if share.endpoint is Endpoint.SCORED:
        return VLLMTokenPolicy(share.url)
    return await open_policy(f"{share.url}/v1" if share.endpoint is Endpoint.CHAT else f"{TOKENS}{share.url}", None)


async def _episode(task: TrainingTask, seed: int, policy: Policy, search: EmblemSearch) -> EpisodeResult:
    profile = get_profile("embedded")
    context = Context(
        policy=policy,
        dialect=profile.make_dialect(),
        search=search,
        budget=profile.budget,
        sampling=Sampling(temperature=1.0, seed=seed),
    )
    return await run_episode(replace(task.task), context)


def _answers(result: EpisodeResult, task: TrainingTask) -> bool:
    return result.ending.answered and (result.ending is Ending.ABSENT) == task.truth.absent


def _draw(source: EmblemsSource, first: int, count: int) -> list[TrainingTask]:
    """Draw tasks, and every frame that the policy is shown, so that drawing is not timed."""
    tasks = [source[first + index] for index in range(count)]
    for task in tasks:
        for frame in range(len(task.task.media)):
            task.task.media[frame]
    return tasks


def _share_out(whole: Share, processes: int) -> list[Share]:
    """Split clips and concurrency evenly."""
    edges = [whole.clips * index // processes for index in range(processes + 1)]
    places = [whole.concurrency * index // processes for index in range(processes + 1)]
    return [
        replace(
            whole,
            first=whole.first + edges[index] + index * _WARM_UP,
            clips=edges[index + 1] - edges[index],
            concurrency=places[index + 1] - places[index],
        )
        for index in range(processes)
    ]


def _shape(shares: Sequence[Share], played: Sequence[Played]) -> dict[str, Any]:
    return {
        "episodes": sum(sum(each.endings.values()) for each in played),
        "concurrency": sum(share.concurrency for share in shares),
        "group": shares[0].group,
        "processes": len(shares),
    }


def _summarise(played: Sequence[Played], told: dict[str, float]) -> dict[str, Any]:
    """Return episodes/s, how they ended, and where seconds went (means an episode; of the server, what it tells)."""
    endings = sum((each.endings for each in played), Counter[str]())
    count = endings.total()
    seconds = max(each.end for each in played) - min(each.start for each in played)
    return {
        "episodes_per_second": round(count / seconds, 2),
        "turns": round(sum(each.turns for each in played) / count, 2),
        "answered_rightly": round(sum(each.rightly for each in played) / count, 3),
        "endings": dict(endings),
        "client_seconds": round(sum(each.cpu for each in played) / count, 4),
        "server_seconds": {key: round(value / count, 4) for key, value in told.items() if key != "requests"},
        "requests": round(told.get("requests", 0.0) / count, 2),
        "node_seconds": {node: round(sum(each.nodes[node] for each in played) / count, 4) for node in NODES},
    }


def _join(barrier: Barrier) -> None:
    global _barrier
    _barrier = barrier


def main(
    url: Annotated[str, typer.Argument(help="The server, http://host:port.")],
    tasks: Annotated[int, typer.Option(help="Clips for each measurement.")] = 64,
    group: Annotated[int, typer.Option(help="Episodes of each clip.")] = 8,
    concurrency: Annotated[list[int] | None, typer.Option(help="Episodes under way at once; may be repeated.")] = None,
    endpoint: Annotated[list[Endpoint] | None, typer.Option(help="May be repeated; default: all three.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that play, each its share of the clips.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the endpoints of one server."""
    rows = compare(
        url,
        clips=tasks,
        group=group,
        concurrencies=concurrency or [16, 64, 256],
        endpoints=endpoint or list(Endpoint),
        processes=processes,
    )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("endpoint", "at once", "episodes/s", "turns", "client ms", "server's API ms", "plan s", "reason s")
    for row in rows:
        nodes = row["node_seconds"]
        table.add_row(
            row["endpoint"], str(row["concurrency"]), str(row["episodes_per_second"]), str(row["turns"]),
            f"{1000 * row['client_seconds']:.1f}", f"{1000 * row['server_seconds'].get('api_cpu', float('nan')):.1f}",
            f"{nodes['plan']:.3f}", f"{nodes['reason']:.3f}",
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
