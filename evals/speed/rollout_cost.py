"""Where the time of a rollout goes when the policy takes none: drawing, graph, encoding, search, segmenter, reward.

The policy plays the oracle's turns, worked out beforehand, and encodes the conversation at each turn as a policy that
samples does; the ids of its own turns are looked up. Parts are processor time, which a busy machine does not inflate.

Run `python -m evals.speed.rollout_cost [--tasks N] [--group N] [--segmenter NAME] [--json]`.
"""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter, process_time, thread_time
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer

from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.tasks import EmblemTask
from graphs.context import Context
from graphs.conversation import Turn
from graphs.episode import run_episode
from graphs.policies.base import Completion, Sampling
from graphs.policies.chatml import ChatML
from graphs.policies.loading import EMBEDDED_FOLDER
from graphs.profiles import get_profile
from rl.keyframes import KeyframeSegmenter
from rl.plays import to_play
from rl.rewards import get_reward
from rl.rollouts import Rollout, Runner
from rl.stream import check_images, to_stream
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError
from tools.image_store import Image, ImageStore
from tools.search.base import ImageHit, SearchProvider, TextHit
from tools.segmenters import load_segmenter
from tools.segmenters.base import Frames, Prompt, Segment, Segmenter

EXACT = "exact"
"""The segmenter that cuts what is meant; any other name is one of `tools.segmenters`."""
CONCURRENCY = 256
DRAWN, SHOWN, ENCODED, SEARCHED = "tasks drawn", "frames drawn", "prompts encoded", "search"
CUT, STREAMED, REWARDED, REST = "segmenter", "token stream", "reward", "graph and all else"


class Clock:
    """Add up the processor seconds of named parts, in any thread; what one part spends in another is the other's."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._open = threading.local()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block, which must not give way to other coroutines."""
        inner: list[float] = self._open.__dict__.setdefault("inner", [])
        inner.append(0.0)
        start = thread_time()
        try:
            yield
        finally:
            spent = thread_time() - start
            with self._lock:
                self.seconds[name] += spent - inner.pop()
            if inner:
                inner[-1] += spent


class ClockedFrames:
    """Frames whose reading is timed."""

    def __init__(self, frames: Frames, clock: Clock) -> None:
        self._frames, self._clock = frames, clock

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> Image:
        with self._clock.part(SHOWN):
            return self._frames[index]


class ClockedSource:
    """Emblems whose drawing is timed, that of tasks with their truth and that of frames."""

    def __init__(self, source: EmblemsSource, clock: Clock) -> None:
        self._source, self._clock, self.name = source, clock, source.name

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int, /) -> TrainingTask:
        """Draw one task."""
        with self._clock.part(DRAWN):
            drawn = self._source[index]
        return replace(drawn, task=replace(drawn.task, media=ClockedFrames(drawn.task.media, self._clock)))


class ClockedSearch:
    """A search that is timed; it must answer without giving way, as one in memory does."""

    def __init__(self, search: SearchProvider, clock: Clock) -> None:
        self._search, self._clock, self.name = search, clock, search.name

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Search texts."""
        with self._clock.part(SEARCHED):
            return await self._search.search_text(query, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Search pictures."""
        with self._clock.part(SEARCHED):
            return await self._search.search_images(query, limit)


class ClockedSegmenter:
    """A segmenter that is timed."""

    def __init__(self, segmenter: Segmenter, clock: Clock) -> None:
        self._segmenter, self._clock, self.name = segmenter, clock, segmenter.name

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment a picture."""
        with self._clock.part(CUT):
            return self._segmenter.segment(image, prompts)

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Segment a clip, all of it before the first frame is handed out."""
        with self._clock.part(CUT):
            return iter(list(self._segmenter.propagate(frames, prompts, keyframe)))


class InstantPolicy:
    """Play a script; only the conversation is encoded, and that is timed."""

    name = "instant"

    def __init__(self, script: Sequence[tuple[str, tuple[int, ...]]], chatml: ChatML, clock: Clock) -> None:
        self._script, self._chatml, self._clock = script, chatml, clock

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Return the next turn of the script with its ids; log-probabilities are 0."""
        with self._clock.part(ENCODED):
            prompt = len(self._chatml.encode(list(turns)).ids)
        text, ids = self._script[sum(turn.role == "assistant" for turn in turns)]
        return Completion(text, "stop", prompt, len(ids), ids, (0.0,) * len(ids))


class Bench:
    """Everything that rollouts on `tasks` tasks of the training split need, scripts included."""

    def __init__(self, tasks: int, segmenter: str) -> None:
        self.clock = Clock()
        self.reward = get_reward("segscout")
        self._tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED_FOLDER)
        self.chatml = ChatML(self._encode)
        self._source = EmblemsSource("train", 0, tasks)
        self._emblems = {task.task_id: task for task in map(self._source.draw, range(tasks))}
        profile = get_profile("embedded")
        self._context = Context(
            policy=InstantPolicy((), self.chatml, self.clock),
            dialect=profile.make_dialect(),
            search=EmblemSearch(self._source.world),
            budget=profile.budget,
        )
        self._shared = None if segmenter == EXACT else KeyframeSegmenter(load_segmenter(segmenter))
        self._scripts = {task: self._script(emblem) for task, emblem in self._emblems.items()}

    def runner(self, concurrency: int) -> Runner:
        """Return a runner that has loaded no task yet."""
        assert self._context.search is not None
        context = replace(self._context, search=ClockedSearch(self._context.search, self.clock))
        source = ClockedSource(self._source, self.clock)
        return Runner(source, context, self.chatml, self.reward, concurrency=concurrency, context_of=self._of_its_own)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _of_its_own(self, context: Context, task: TrainingTask) -> Context:
        inner = self._shared or KeyframeSegmenter(ExactSegmenter(self._emblems[task.id].clip.again()))
        policy = InstantPolicy(self._scripts[task.id], self.chatml, self.clock)
        return replace(context, policy=policy, segmenter=ClockedSegmenter(inner, self.clock))

    def _script(self, emblem: EmblemTask) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Let the oracle play a task once, and write down its turns with their ids."""
        task = self._source[int(emblem.task_id.rsplit("-", 1)[1])]
        oracle = oracle_policy(emblem, self._source.world, frames=self._source.frames)
        result = asyncio.run(run_episode(task.task, replace(self._context, policy=oracle)))
        said = [turn.text for turn in result.conversation if turn.role == "assistant"]
        return tuple((text, (*self._encode(text), self.chatml.end_of_turn)) for text in said)


def measure(tasks: int, group: int, segmenter: str, concurrency: int = CONCURRENCY) -> dict[str, Any]:
    """Roll out groups of `group` scripted episodes on `tasks` drawn tasks and split their time.

    episodes_per_second: at `concurrency`. cpu_ms: processor milliseconds of an episode, all threads; parts_ms splits
    them. node_ms: milliseconds of an episode in each node (usage.seconds), of episodes run one after another, policy,
    search and drawing included. What a group shares, such as drawing, is spread over its episodes.

    Sprites and search pictures are warm, as after the first minutes of training. Token stream and reward are timed
    again after the rollouts, on the same episodes. InputError for numbers below 1 and for an unknown segmenter.
    """
    if min(tasks, group, concurrency) < 1:
        raise InputError(
            "there is nothing to roll out.", remedy="Give --tasks, --group and --concurrency of 1 or more."
        )
    cv2.setNumThreads(1)
    bench = Bench(tasks, segmenter)
    count = tasks * group
    wanted = [(task, task * group + k) for task in range(tasks) for k in range(group)]
    _all(bench.runner(concurrency).run(wanted[:1]))  # the segmenter's first call is not like the others
    nodes = _node_seconds(_all(bench.runner(1).run(wanted)))
    bench.clock.seconds.clear()
    runner = bench.runner(concurrency)
    start, cpu = perf_counter(), process_time()
    rollouts = _all(runner.run(wanted))
    seconds, cpu = perf_counter() - start, process_time() - cpu
    parts = dict(bench.clock.seconds)
    parts |= {STREAMED: _seconds(_stream_of(bench.chatml), rollouts), REWARDED: _seconds(_reward_of(bench), rollouts)}
    parts[REST] = cpu - sum(parts.values())
    return {
        "tasks": tasks,
        "group": group,
        "concurrency": concurrency,
        "segmenter": segmenter,
        "episodes": count,
        "success": sum(rollout.success for rollout in rollouts) / count,
        "turns": sum(rollout.result.usage.turns for rollout in rollouts) / count,
        "searches": sum(rollout.result.usage.searches for rollout in rollouts) / count,
        "tokens": sum(len(rollout.stream.ids) for rollout in rollouts) / count,
        "episodes_per_second": round(count / seconds, 1),
        "cpu_ms": round(1000 * cpu / count, 3),
        "parts_ms": _each(parts, count),
        "node_ms": _each(nodes, count),
    }


def _all(rollouts: Iterable[Rollout | None]) -> list[Rollout]:
    kept = [rollout for rollout in rollouts if rollout is not None]
    assert kept, "every episode broke"
    return kept


def _node_seconds(rollouts: Iterable[Rollout]) -> dict[str, float]:
    nodes: defaultdict[str, float] = defaultdict(float)
    for rollout in rollouts:
        for node, took in rollout.result.usage.seconds.items():
            nodes[node] += took
    return nodes


def _each(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    return {name: round(1000 * took / count, 3) for name, took in sorted(seconds.items(), key=lambda item: -item[1])}


def _seconds(work: Callable[[Rollout], object], rollouts: Sequence[Rollout]) -> float:
    start = thread_time()
    for rollout in rollouts:
        work(rollout)
    return thread_time() - start


def _stream_of(chatml: ChatML) -> Callable[[Rollout], object]:
    return lambda rollout: check_images(to_stream(chatml, rollout.result.conversation), chatml)


def _reward_of(bench: Bench) -> Callable[[Rollout], object]:
    """Return what the runner times as reward_seconds: the play, with the true masks of its frame, and its score."""
    return lambda rollout: bench.reward.components(to_play(rollout.task, rollout.result, rollout.events))


def main(
    tasks: Annotated[int, typer.Option(help="How many tasks to draw.")] = 16,
    group: Annotated[int, typer.Option(help="Episodes of each task.")] = 8,
    segmenter: Annotated[str, typer.Option(help="exact, sam2 or grabcut.")] = EXACT,
    concurrency: Annotated[int, typer.Option(help="Episodes under way at once.")] = CONCURRENCY,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Measure where the time of a rollout goes when the policy is instant."""
    report = measure(tasks, group, segmenter, concurrency)
    console = Console()
    if as_json:
        console.print(json.dumps(report), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table("part", "processor ms an episode", "%", title=f"A rollout with an instant policy, {segmenter}")
    for name, took in report["parts_ms"].items():
        table.add_row(name, f"{took:.2f}", f"{100 * took / report['cpu_ms']:.0f}")
    table.add_row("all", f"{report['cpu_ms']:.2f}", "100", style="bold")
    console.print(table)
    nodes = Table("node", "ms an episode", title="Nodes, episodes one after another")
    for name, took in report["node_ms"].items():
        nodes.add_row(name, f"{took:.2f}")
    console.print(nodes)
    console.print(
        f"{report['episodes_per_second']} episodes/s at concurrency {concurrency}: {report['episodes']} episodes of "
        f"{report['turns']:.1f} turns, {report['searches']:.1f} searches and {report['tokens']:.0f} tokens"
    )


if __name__ == "__main__":
    typer.run(main)
