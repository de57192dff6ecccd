"""Roll episodes out on training tasks: the graph that everybody uses, a policy that samples, a reward for each."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

from graphs.context import Context
from graphs.episode import EpisodeResult, run_episode
from graphs.events import Event
from graphs.policies.chatml import ChatML
from rl.plays import to_play
from rl.rewards.base import Play, Reward, total
from rl.rewards.segscout import wasted_searches
from rl.rows import TrainingRow
from rl.stream import StreamError, TokenStream, check_images, to_stream
from rl.success import is_right
from rl.tasks.base import TaskSource, TrainingTask

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
        """Whether the answer is right; see `rl.success`."""
        return is_right(self.play)

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

    Nothing is cut for a task without masks, since there is nothing to compare a cut with. `chatml` is that of the
    policy's tokenizer. At most `concurrency` episodes are under way at once.
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
        if task.masks is None:
            context = replace(context, segmenter=None)
        start = perf_counter()
        result = await run_episode(task.task, context)
        seconds = perf_counter() - start
        if result.ending.broken:
            if result.failure is not None:
                log.warning("%s broke: %s %s", task.id, result.failure["message"], result.failure["remedy"])
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
