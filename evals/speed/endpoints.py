"""Episodes a second by the chat endpoint and by the token endpoint of one vLLM server, on the same tasks.

Run `python -m evals.speed.endpoints http://localhost:8000 [--tasks 64] [--group 8] [--concurrency 16 64 256] [--json]`
beside a server of the embedded policy. Nothing is cut, so that policy and server are what is timed: chat sends every
picture with every turn, tokens send it once. With `--group 8` eight episodes share a clip, as in training; `--group 1`
gives every episode a clip of its own. Clips are drawn before the clock starts.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter, process_time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evals.contexts import open_policy
from evals.emblems.knowledge import EmblemSearch
from graphs.context import Context
from graphs.endings import Ending
from graphs.episode import EpisodeResult, run_episode
from graphs.policies.base import Policy, Sampling
from graphs.policies.loading import TOKENS
from graphs.profiles import get_profile
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource

NODES = ("plan", "search", "observe", "reason", "localize")


@dataclass(frozen=True)
class Load:
    """What is played: `group` episodes of each task, `concurrency` of them under way at once."""

    tasks: Sequence[TrainingTask]
    group: int
    concurrency: int
    seed: int


async def measure(policy: Policy, search: EmblemSearch, load: Load) -> dict[str, Any]:
    """Play the episodes and return episodes/s, how they ended, and where their seconds went (means an episode).

    Seconds of a node include waiting for the policy; `client_seconds` is processor time of this process an episode.
    """
    profile = get_profile("embedded")
    gate = asyncio.Semaphore(load.concurrency)

    async def one(task: TrainingTask, seed: int) -> EpisodeResult:
        context = Context(
            policy=policy,
            dialect=profile.make_dialect(),
            search=search,
            budget=profile.budget,
            sampling=Sampling(temperature=1.0, seed=seed),
        )
        async with gate:
            return await run_episode(replace(task.task), context)

    wanted = [(task, load.seed + k) for task in load.tasks for k in range(load.group)]
    start, busy = perf_counter(), process_time()
    results = await asyncio.gather(*(one(task, seed) for task, seed in wanted))
    seconds, spent = perf_counter() - start, process_time() - busy
    count = len(results)
    right = sum(
        (result.ending is Ending.ABSENT) == task.truth.absent and result.ending.answered
        for (task, _), result in zip(wanted, results, strict=True)
    )
    return {
        "episodes": count,
        "concurrency": load.concurrency,
        "group": load.group,
        "episodes_per_second": round(count / seconds, 2),
        "turns": round(sum(result.usage.turns for result in results) / count, 2),
        "answered_rightly": round(right / count, 3),
        "endings": dict(Counter(result.ending.value for result in results)),
        "client_seconds": round(spent / count, 4),
        "node_seconds": {
            node: round(sum(result.usage.seconds.get(node, 0.0) for result in results) / count, 4) for node in NODES
        },
    }


def draw(source: EmblemsSource, start: int, count: int) -> list[TrainingTask]:
    """Draw tasks, and every frame that the policy is shown, so that drawing is not timed."""
    tasks = [source[start + index] for index in range(count)]
    for task in tasks:
        for frame in range(len(task.task.media)):
            task.task.media[frame]
    return tasks


async def compare(
    url: str, tasks: int, group: int, concurrencies: Sequence[int], endpoints: Sequence[str]
) -> list[dict[str, Any]]:
    """Measure each endpoint at each concurrency, each time on clips that the server has not seen."""
    source = EmblemsSource("test", 41, 1_000_000)
    search = EmblemSearch(source.world)
    addresses = {"chat": f"{url}/v1", "tokens": f"{TOKENS}{url}"}
    rows = []
    at = 0
    for endpoint in endpoints:
        policy = await open_policy(addresses[endpoint], None)
        await measure(policy, search, Load(draw(source, at, 8), 1, 8, 0))  # warm-up
        at += 8
        for concurrency in concurrencies:
            load = Load(draw(source, at, tasks), group, concurrency, 1)
            at += tasks
            rows.append({"endpoint": endpoint, **await measure(policy, search, load)})
    return rows


def main(
    url: Annotated[str, typer.Argument(help="The server, http://host:port.")],
    tasks: Annotated[int, typer.Option(help="Clips for each measurement.")] = 64,
    group: Annotated[int, typer.Option(help="Episodes of each clip.")] = 8,
    concurrency: Annotated[list[int] | None, typer.Option(help="Episodes under way at once; may be repeated.")] = None,
    endpoint: Annotated[list[str] | None, typer.Option(help="chat, tokens; default: both.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare the two endpoints of one server."""
    rows = asyncio.run(compare(url, tasks, group, concurrency or [16, 64, 256], endpoint or ["chat", "tokens"]))
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("endpoint", "concurrency", "episodes", "group", "episodes/s", "turns", "client s", *NODES)
    for row in rows:
        nodes = (f"{row['node_seconds'][node]:.3f}" for node in NODES)
        table.add_row(
            row["endpoint"], str(row["concurrency"]), str(row["episodes"]), str(row["group"]),
            str(row["episodes_per_second"]), str(row["turns"]), f"{row['client_seconds']:.4f}", *nodes,
        )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
