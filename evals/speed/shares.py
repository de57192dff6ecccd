"""One process's share of the episodes by which a server's endpoints are compared."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from multiprocessing.synchronize import Event, Semaphore
from time import perf_counter, process_time
from typing import TYPE_CHECKING

from evals.contexts import open_policy
from evals.emblems.knowledge import EmblemSearch
from graphs.context import Context
from graphs.episode import EpisodeResult, run_episode
from graphs.policies.base import Policy, Sampling
from graphs.policies.openai import OpenAIPolicy
from graphs.profiles import get_profile
from rl.plays import to_play
from rl.success import is_right
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError
from tools.settings import read_settings

if TYPE_CHECKING:
    from graphs.policies.vllm_tokens import VLLMTokenPolicy

NODES = ("plan", "search", "observe", "reason", "localize")
WARM_UP = 8
"""Clips that each process plays before the clock starts."""

_gate: "Gate"  # given to each process as it starts


class Endpoint(StrEnum):
    """How the server is asked.

    `scored` is by tokens, with their log-probabilities; `together` by tokens, for all turns of the same prompt at once;
    `branched` by tokens, all turns of the same prompt decoded as one until they part.
    """

    CHAT = "chat"
    TOKENS = "tokens"
    SCORED = "scored"
    TOGETHER = "together"
    BRANCHED = "branched"


@dataclass(frozen=True)
class Gate:
    """Where processes wait for each other: each says that it is `ready`, and all begin at `go`."""

    ready: Semaphore
    go: Event


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
    right: int
    """Episodes whose box is that of the target by an IoU above 0.5, or that rightly say that it is absent."""
    endings: Counter[str]
    turns: int
    nodes: dict[str, float]


def share_out(whole: Share, processes: int) -> list[Share]:
    """Split clips and concurrency as evenly as can be, with clips to warm up on before each share.

    Raises InputError if a process would have nothing to play.
    """
    if min(whole.clips, whole.concurrency) < processes or processes < 1 or whole.group < 1:
        raise InputError(
            f"{processes} processes cannot share {whole.clips} clips, {whole.concurrency} episodes at once, "
            f"in groups of {whole.group}.",
            remedy="Give --tasks and --concurrency of at least --processes, and --group of 1 or more.",
        )
    edges = [whole.clips * index // processes for index in range(processes + 1)]
    places = [whole.concurrency * index // processes for index in range(processes + 1)]
    return [
        replace(
            whole,
            first=whole.first + edges[index] + index * WARM_UP,
            clips=edges[index + 1] - edges[index],
            concurrency=places[index + 1] - places[index],
        )
        for index in range(processes)
    ]


def join(gate: Gate) -> None:
    """Let this process wait at `gate`."""
    global _gate
    _gate = gate


def play(share: Share) -> Played:
    """Draw clips, warm up on others, wait until all processes have, and play."""
    source = EmblemsSource("test", 41, 1_000_000)
    return asyncio.run(_play(share, EmblemSearch(source.world), _draw(source, share.first, WARM_UP + share.clips)))


async def _play(share: Share, search: EmblemSearch, tasks: Sequence[TrainingTask]) -> Played:
    policy = await _open(share)
    await asyncio.gather(*(_episode(task, 0, policy, search) for task in tasks[:WARM_UP]))
    # Each episode has a seed of its own: shared by all clips, the luck of a few seeds would be that of all of them.
    pairs = [task for task in tasks[WARM_UP:] for _ in range(share.group)]
    wanted = [(task, 1 + share.first * share.group + place) for place, task in enumerate(pairs)]
    places = asyncio.Semaphore(share.concurrency)

    async def one(task: TrainingTask, seed: int) -> EpisodeResult:
        async with places:
            return await _episode(task, seed, policy, search)

    _gate.ready.release()
    _gate.go.wait()
    start, cpu = perf_counter(), process_time()
    results = await asyncio.gather(*(one(task, seed) for task, seed in wanted))
    end, cpu = perf_counter(), process_time() - cpu
    await policy.close()
    return Played(
        start,
        end,
        cpu,
        sum(_right(result, task) for (task, _), result in zip(wanted, results, strict=True)),
        Counter(result.ending.value for result in results),
        sum(result.usage.turns for result in results),
        {node: sum(result.usage.seconds.get(node, 0.0) for result in results) for node in NODES},
    )


async def _open(share: Share) -> "OpenAIPolicy | VLLMTokenPolicy":
    if share.endpoint is Endpoint.CHAT:
        policy = await open_policy(f"{share.url}/v1", None)
        assert isinstance(policy, OpenAIPolicy)
        return policy
    from graphs.policies.vllm_tokens import VLLMTokenPolicy  # brings torch and transformers along, seconds a process

    return VLLMTokenPolicy(
        share.url,
        api_key=read_settings().secret(),
        logprobs=share.endpoint is Endpoint.SCORED,
        coalesce=share.endpoint is Endpoint.TOGETHER,
        branch=share.endpoint is Endpoint.BRANCHED,
    )


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


def _right(result: EpisodeResult, task: TrainingTask) -> bool:
    """Judge the answered box, since nothing is cut here."""
    return is_right(to_play(replace(task, masks=None), result, ()))


def _draw(source: EmblemsSource, first: int, count: int) -> list[TrainingTask]:
    """Draw tasks, and every frame that the policy is shown, so that drawing is not timed."""
    tasks = [source[first + index] for index in range(count)]
    for task in tasks:
        for frame in range(len(task.task.media)):
            task.task.media[frame]
    return tasks
