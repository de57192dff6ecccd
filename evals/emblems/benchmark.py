"""The Emblems benchmark: draw tasks that nobody has seen, run the agent's own graph on them, and score each episode."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from time import perf_counter

import numpy as np

from evals.emblems.names import SPLITS, Split, read_split
from evals.emblems.scoring import EpisodeRecord, score_episode
from evals.emblems.tasks import ABILITIES, EmblemTask, draw_task
from evals.emblems.world import World, make_world
from graphs.context import Context
from graphs.episode import Task, run_episode
from tools.errors import InputError

ContextOf = Callable[[EmblemTask], Context]
"""Makes the context of one task: for policies or segmenters that are the task's own, such as the oracle."""


@lru_cache(maxsize=2)
def benchmark_world(split: Split, seed: int) -> World:
    """Return the world of a benchmark, 1,000 teams in 5,200 records; InputError for a bad split or a negative seed."""
    split = read_split(split)
    if seed < 0:
        raise InputError(f"the seed {seed} is negative.", remedy="Choose 0 or more.")
    return make_world(split, seed)


def make_tasks(split: Split, seed: int, n: int) -> list[EmblemTask]:
    """Draw `n` tasks, the five abilities in turn; task i depends on (split, seed, i) alone, whatever `n` is.

    Any seed gives fresh clips and a fresh world. Raises InputError for a bad split, seed or number.
    """
    if n < 1:
        raise InputError(f"{n} tasks cannot be evaluated.", remedy="Ask for at least 1.")
    world = benchmark_world(split, seed)
    tasks = []
    for i in range(n):
        rng = np.random.default_rng((SPLITS.index(split), seed, i, 2))
        tasks.append(draw_task(rng, world, ABILITIES[i % len(ABILITIES)], f"{split}-{seed}-{i:05d}"))
    return tasks


async def evaluate(
    context: Context | ContextOf,
    tasks: Sequence[EmblemTask],
    *,
    concurrency: int = 1,
    on_record: Callable[[EpisodeRecord], None] | None = None,
) -> list[EpisodeRecord]:
    """Run every task through the compiled graph and score it; records come in the order of the tasks.

    `concurrency` episodes are under way at once: 1 for a policy in process, which can do but one thing at a time, many
    for an endpoint. `on_record` is called as each episode ends. An episode that breaks is a record of a failure, never
    an exception; only InputError is raised, for a concurrency below 1.
    """
    if concurrency < 1:
        raise InputError(f"a concurrency of {concurrency} is none.", remedy="Choose 1 or more.")
    gate = asyncio.Semaphore(concurrency)

    async def one(task: EmblemTask) -> EpisodeRecord:
        async with gate:
            record = await run_task(task, context)
        if on_record is not None:
            on_record(record)
        return record

    return list(await asyncio.gather(*(one(task) for task in tasks)))


async def run_task(task: EmblemTask, context: Context | ContextOf) -> EpisodeRecord:
    """Run one task and score it; the seconds are those of the whole episode, masks through the clip included."""
    task = replace(task, clip=task.clip.again())
    own = context if isinstance(context, Context) else context(task)
    start = perf_counter()
    result = await run_episode(Task(task.query, task.clip), own)
    seconds = perf_counter() - start
    return await asyncio.to_thread(score_episode, task, result, seconds)
