"""The Emblems benchmark: draw tasks that nobody has seen, run the agent's own graph on them, and score each episode."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from time import perf_counter

import numpy as np

from evals.emblems.knowledge import EmblemSearch
from evals.emblems.names import SPLITS, Split, read_split
from evals.emblems.scoring import EpisodeRecord, score_episode
from evals.emblems.tasks import ABILITIES, EmblemTask, draw_task
from evals.emblems.world import World, make_world
from graphs.context import Context
from graphs.episode import EpisodeResult, Task, run_episode
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


@lru_cache(maxsize=2)
def benchmark_search(split: Split, seed: int) -> EmblemSearch:
    """Return the search of a benchmark's world, indexed once a process."""
    return EmblemSearch(benchmark_world(split, seed))


def make_tasks(split: Split, seed: int, n: int) -> list[EmblemTask]:
    """Draw `n` tasks, the five abilities in turn; task i depends on (split, seed, i) alone, whatever `n` is.

    Any seed gives fresh clips and a fresh world. Raises InputError for a bad split, seed or number.
    """
    if n < 1:
        raise InputError(f"{n} tasks cannot be evaluated.", remedy="Ask for at least 1.")
    return [draw_nth_task(split, seed, i) for i in range(n)]


def draw_nth_task(split: Split, seed: int, i: int) -> EmblemTask:
    """Draw task i of a benchmark; InputError for a bad split or seed."""
    world = benchmark_world(split, seed)
    rng = np.random.default_rng((SPLITS.index(split), seed, i, 2))
    return draw_task(rng, world, ABILITIES[i % len(ABILITIES)], f"{split}-{seed}-{i:05d}")


async def run_task(task: EmblemTask, context: Context | ContextOf) -> tuple[EpisodeRecord, EpisodeResult]:
    """Run one task and score it; the seconds are those of the whole episode, masks through the clip included.

    An episode that breaks is the record of a failure, never an exception.
    """
    task = replace(task, clip=task.clip.again())
    own = context if isinstance(context, Context) else context(task)
    start = perf_counter()
    result = await run_episode(Task(task.query, task.clip), own)
    seconds = perf_counter() - start
    return await asyncio.to_thread(score_episode, task, result, seconds), result
