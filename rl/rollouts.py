"""Roll episodes out on training tasks: the graph that everybody uses, a policy that samples, a reward for each."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

import numpy as np

from evals.metrics.overlap import mask_iou
from graphs.context import Context
from graphs.endings import Ending
from graphs.episode import EpisodeResult, run_episode
from graphs.events import Event, SearchFinished
from graphs.policies.chatml import ChatML
from rl.rewards.base import Cut, Play, PlayTurn, Reward, total
from rl.rewards.segscout import wasted_searches
from rl.rows import TrainingRow
from rl.stream import StreamError, TokenStream, check_images, to_stream
from rl.tasks.base import TaskSource, TrainingTask
from tools.segmenters.base import Mask

log = logging.getLogger("segscout.rollouts")

_TASKS = 64
"""Tasks kept, with their media, for the other episodes of their groups."""


@dataclass(frozen=True)
class Rollout:
    """One episode, scored: what was sampled, what it was worth, and how long it took in seconds."""

    index: int
    """Which task of the source."""
    seed: int
    task: TrainingTask
    result: EpisodeResult
    stream: TokenStream
    play: Play
    components: dict[str, float]
    reward: float
    events: tuple[Event, ...]
    image_pad: int
    seconds: float
    reward_seconds: float

    @property
    def success(self) -> bool:
        """Whether the answer is right: a mask IoU above 0.5 on the frame answered, or rightly absent."""
        if self.task.truth.absent:
            return self.result.ending is Ending.ABSENT
        cut = self.play.cut
        return cut is not None and bool(cut.predicted) and mask_iou(union(cut.predicted), union(cut.true)) > 0.5

    def row(self) -> TrainingRow:
        """Return what training needs of this episode."""
        usage = self.result.usage
        facts = {
            "success": float(self.success),
            "answered": float(self.result.ending.answered),
            "searches": float(usage.searches),
            "wasted": float(wasted_searches(self.play)),
            "turns": float(usage.turns),
            "seconds": self.seconds,
            "reward_seconds": self.reward_seconds,
            **{f"seconds_{node}": seconds for node, seconds in usage.seconds.items()},
        }
        return TrainingRow(self.stream, self.reward, self.components, self.play.text, self.result.images.get, facts)


OnDone = Callable[[int, Rollout | None], None]


class Runner:
    """Roll out tasks of one source under one context; `context_of` may give a task parts of its own.

    `chatml` is that of the policy's tokenizer. At most `concurrency` episodes are under way at once.
    """

    def __init__(
        self,
        source: TaskSource,
        context: Context,
        chatml: ChatML,
        reward: Reward,
        *,
        concurrency: int = 256,
        context_of: Callable[[Context, TrainingTask], Context] | None = None,
    ) -> None:
        self.source, self.chatml, self.reward = source, chatml, reward
        # The episodes of a group share their task, which then is loaded once.
        self._task = lru_cache(maxsize=_TASKS)(source.__getitem__)
        self._context, self._context_of, self._concurrency = context, context_of, concurrency

    def run(self, wanted: Sequence[tuple[int, int]], on_done: OnDone | None = None) -> list[Rollout | None]:
        """Roll out (task index, seed) pairs; `on_done` is told each as it ends, with its place in `wanted`.

        None where a part of the system broke, which is nobody's merit, or where pictures and tokens disagree.
        """
        return asyncio.run(self.run_async(wanted, on_done))

    async def run_async(self, wanted: Sequence[tuple[int, int]], on_done: OnDone | None = None) -> list[Rollout | None]:
        """Roll out like `run`, in the running event loop, whose thread calls `on_done`."""
        gate = asyncio.Semaphore(self._concurrency)

        async def one(place: int, index: int, seed: int) -> Rollout | None:
            async with gate:
                rollout = await self._one(index, seed)
            if on_done is not None:
                on_done(place, rollout)
            return rollout

        return list(await asyncio.gather(*(one(place, *pair) for place, pair in enumerate(wanted))))

    async def _one(self, index: int, seed: int) -> Rollout | None:
        task = self._task(index)
        events: list[Event] = []
        sampling = replace(self._context.sampling, seed=seed)
        context = replace(self._context, sampling=sampling, sink=events.append)
        if self._context_of is not None:
            context = self._context_of(context, task)
        start = perf_counter()
        result = await run_episode(task.task, context)
        seconds = perf_counter() - start
        if result.ending.broken:
            return None
        try:
            stream = to_stream(self.chatml, result.conversation)
            check_images(stream, self.chatml)
        except StreamError as error:
            log.warning("an episode of %s is refused: %s", task.id, error)
            return None
        start = perf_counter()
        play = to_play(task, result, events)
        components = self.reward.components(play)
        return Rollout(
            index=index,
            seed=seed,
            task=task,
            result=result,
            stream=stream,
            play=play,
            components=components,
            reward=total(self.reward, components),
            events=tuple(events),
            image_pad=self.chatml.image_pad,
            seconds=seconds,
            reward_seconds=perf_counter() - start,
        )


def union(masks: Sequence[Mask]) -> Mask:
    """Return what at least one of one or more masks (height, width) covers."""
    return np.asarray(np.logical_or.reduce(masks))


def to_play(task: TrainingTask, result: EpisodeResult, events: Sequence[Event]) -> Play:
    """Show an episode as rewards see it.

    Every search that the policy asked for counts, also one that the graph answered from memory or refused; one that
    the provider failed does not.
    """
    spoken = next(at for at, turn in enumerate(result.conversation) if turn.role == "assistant")
    turns = tuple(
        PlayTurn("policy" if turn.role == "assistant" else "observation", turn.text)
        for turn in result.conversation[spoken:]
    )
    cut = None
    if result.keyframe is not None:
        found = (result.masks.get(number, result.keyframe) for number in range(len(result.instances)))
        cut = Cut(tuple(mask for mask in found if mask is not None), task.masks(result.keyframe))
    known: set[tuple[str, str]] = set()
    useful = 0
    for asked in dict.fromkeys((found.turn, found.tool, found.claim) for found in result.evidence):
        brought = {(e.source, e.title) for e in result.evidence if (e.turn, e.tool, e.claim) == asked}
        useful += bool(brought - known)
        known |= brought
    return Play(
        turns=turns,
        truth=task.truth,
        ending=result.ending.value,
        keyframe=result.keyframe,
        cut=cut,
        searches=sum(isinstance(event, SearchFinished) and event.fate != "failed" for event in events),
        useful=useful,
        facts={"turns": float(result.usage.turns), "malformed": float(result.usage.malformed)},
    )
