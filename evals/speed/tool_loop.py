"""The same episodes with slow tools: the graph's concurrent rollouts beside TRL's own tool loop, in one run.

Only loops and tools are compared. What samples is replaced in both by a script that answers at once, because a small
policy would not call TRL's tools by itself: in `BatchingPolicy` the decoding of a wave, so its queue and its 50 ms of
gathering count; in TRL `model.generate`, so its padding, parsing and loop count. Both play the same turns, two text
searches and an answer, and search the same world after the same delay. The graph's seconds are those of `Runner.run`:
beyond what TRL does in its `_generate` they include drawing the clips, showing frames, token streams and rewards.

Run `python -m evals.speed.tool_loop [--episodes N] [--delay SECONDS] [--json]`.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter, sleep
from typing import Annotated, Any

import torch
import typer
from datasets import Dataset
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen3_vl_chat_template

from evals.emblems.knowledge import EmblemSearch
from graphs.context import Context
from graphs.dialects.seg_research import answer_turn, search_turn
from graphs.policies.base import Completion
from graphs.policies.batching import BatchingPolicy
from graphs.policies.loading import EMBEDDED_FOLDER
from graphs.profiles import get_profile
from rl.rewards import get_reward
from rl.rollouts import Runner
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError
from tools.search.base import ImageHit, TextHit

SEARCHES = 2
"""Tool calls of an episode, one after another: the team behind a description, then its emblem."""
_MARK = "Turn "
"""Every scripted turn says this once, so that a conversation tells how many were played."""


class SlowSearch:
    """Search after sleeping `delay` seconds, and count the searches; `asleep` adds up the seconds slept."""

    name = "slow"

    def __init__(self, search: EmblemSearch, delay: float = 0.0) -> None:
        self._search, self.delay, self.calls, self.asleep = search, delay, 0, 0.0

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Sleep without holding anybody up, then search."""
        self._count()
        await asyncio.sleep(self.delay)
        return await self._search.search_text(query, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Sleep without holding anybody up, then search."""
        self._count()
        await asyncio.sleep(self.delay)
        return await self._search.search_images(query, limit)

    def search_text_blocking(self, query: str, limit: int) -> list[TextHit]:
        """Sleep in the calling thread, then search."""
        self._count()
        sleep(self.delay)
        return self._search.knowledge.search_text(query, limit)

    def _count(self) -> None:
        self.calls += 1
        self.asleep += self.delay


class Script:
    """The turns of every episode; `ask` writes a search and `answer` the last turn, in the words of one convention."""

    def __init__(self, tasks: Sequence[TrainingTask], ask: Callable[[str, str], str], answer: str) -> None:
        self._steps = {task.task.query: task.truth.steps[:SEARCHES] for task in tasks}
        self._ask, self._answer = ask, answer
        self.turns = 0

    def next(self, conversation: str) -> str:
        """Return the turn after a conversation, which holds the query of its task."""
        self.turns += 1
        query = max((query for query in self._steps if query in conversation), key=len)
        played = conversation.count(_MARK)
        return self._ask(f"{_MARK}{played}.", self._steps[query][played]) if played < SEARCHES else self._answer


class ScriptedBatching(BatchingPolicy):
    """Waves whose decoding takes no time."""

    def __init__(self, model: Any, tokenizer: Any, script: Script) -> None:
        super().__init__(model, tokenizer, name="scripted")
        self._script = script

    def _decode(self, requests: Sequence[Any]) -> list[Completion]:
        return [self._speak(request.encoded.ids) for request in requests]

    def _speak(self, prompt: Sequence[int]) -> Completion:
        text = self._script.next(str(self._tokenizer.decode(list(prompt))))
        ids = (*self._encode(text), self.chatml.end_of_turn)
        return Completion(text, "stop", len(prompt), len(ids), ids, (0.0,) * len(ids))


class TimedGRPO(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer; `seconds` is how long its last generation took, tool loop included."""

    seconds = 0.0

    def _generate(self, prompts: list[Any]) -> Any:
        start = perf_counter()
        generated = super()._generate(prompts)
        self.seconds = perf_counter() - start
        return generated


def graph_batch(model: Any, source: EmblemsSource, tasks: Sequence[TrainingTask], search: SlowSearch) -> "Batch":
    """Return a batch of the graph's rollouts."""
    profile = get_profile("embedded")
    script = Script(
        tasks,
        lambda thinking, query: search_turn(thinking, "text_search", query),
        answer_turn("It is there.", (0.25, 0.25, 0.75, 0.75), (0.5, 0.5)),
    )
    policy = ScriptedBatching(model, AutoTokenizer.from_pretrained(EMBEDDED_FOLDER), script)
    context = Context(policy=policy, dialect=profile.make_dialect(), search=search, budget=profile.budget)

    def play() -> float:
        runner = Runner(source, context, policy.chatml, get_reward("segscout"))
        start = perf_counter()
        rollouts = runner.run([(index, index) for index in range(len(tasks))])
        seconds = perf_counter() - start
        assert all(rollout is not None and rollout.result.found for rollout in rollouts), "an episode broke"
        return seconds

    return Batch(play, script, search)


def trl_batch(model: Any, tasks: Sequence[TrainingTask], search: SlowSearch, *, blocking: bool) -> "Batch":
    """Return a batch of TRL's own tool loop, with a tool that is a function or one that is a coroutine."""
    script = Script(
        tasks,
        lambda thinking, query: f"{thinking}\n<tool_call>\n{_call(query)}\n</tool_call>",
        "It is in the middle.",
    )
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_FOLDER)
    tokenizer.chat_template = qwen3_vl_chat_template  # TRL parses the tool calls of templates that it knows
    folder = tempfile.TemporaryDirectory(prefix="segscout-trl-")
    prompts = [{"prompt": [{"role": "user", "content": f"Find {task.task.query}."}]} for task in tasks]
    config = GRPOConfig(
        output_dir=folder.name,
        report_to="none",
        use_cpu=True,
        bf16=False,
        num_generations=len(tasks),
        per_device_train_batch_size=len(tasks),
        max_completion_length=4_096,
        gradient_checkpointing=False,
    )
    trainer = TimedGRPO(
        model,
        [_worthless],
        args=config,
        train_dataset=Dataset.from_list(prompts),
        processing_class=tokenizer,
        tools=[_function(search) if blocking else _coroutine(search)],
    )

    def generate(input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Tensor:
        texts = [tokenizer.decode(row[mask.bool()]) for row, mask in zip(input_ids, attention_mask, strict=True)]
        spoken = [
            torch.tensor([*tokenizer.encode(script.next(text), add_special_tokens=False), tokenizer.eos_token_id])
            for text in texts
        ]
        new = torch.nn.utils.rnn.pad_sequence(spoken, batch_first=True, padding_value=tokenizer.eos_token_id)
        return torch.cat([input_ids, new], dim=1)

    def play() -> float:
        model.generate = generate
        model.train()
        trainer._generate_and_score_completions(prompts)
        assert trainer._metrics["train"]["tools/failure_frequency"][-1] == 0, "a tool failed"
        return float(trainer.seconds)

    return Batch(play, script, search, keep=folder)


class Batch:
    """Something that plays all episodes once and says in how many seconds."""

    def __init__(self, play: Callable[[], float], script: Script, search: SlowSearch, keep: object = None) -> None:
        self._play, self._script, self._search, self._kept = play, script, search, keep

    def measure(self, delay: float) -> dict[str, Any]:
        """Warm up, then play without and with `delay` seconds in every tool call."""
        self._run(0.0)
        bare, _, _ = self._run(0.0)
        seconds, calls, turns = self._run(delay)
        return {
            "seconds": round(seconds, 3),
            "seconds_without_delay": round(bare, 3),
            "tool_calls": calls,
            "turns": turns,
            "seconds_asleep": round(self._search.asleep, 3),
        }

    def _run(self, delay: float) -> tuple[float, int, int]:
        self._search.delay, self._search.calls, self._search.asleep, self._script.turns = delay, 0, 0.0, 0
        seconds = self._play()
        return seconds, self._search.calls, self._script.turns


def measure(episodes: int, delay: float) -> dict[str, Any]:
    """Play `episodes` episodes with tools of `delay` seconds in the graph and in TRL with either kind of tool.

    seconds: of a batch; seconds_without_delay: of one whose tools do not sleep; seconds_asleep: what its tools slept,
    added up, which is what a serial loop waits; concurrent_seconds_asleep: what one waits that runs the episodes at
    once. InputError for fewer than 2 episodes, which is no group, or a delay below 0.
    """
    if episodes < 2 or delay < 0:
        raise InputError("there is nothing to compare.", remedy="Give 2 episodes or more, and a delay of 0 or more.")
    source = EmblemsSource("train", 0, episodes, weights={"multi-hop": 1.0})
    tasks = [source[index] for index in range(episodes)]
    search = SlowSearch(EmblemSearch(source.world))
    model = BatchingPolicy.load(EMBEDDED_FOLDER, device="cpu").model
    # Without a processor TRL takes the model for one of text alone, and looks for its limit there.
    model.config.max_position_embeddings = model.config.text_config.max_position_embeddings
    batches = {
        "graph": graph_batch(model, source, tasks, search),
        "trl_sync": trl_batch(model, tasks, search, blocking=True),
        "trl_async": trl_batch(model, tasks, search, blocking=False),
    }
    loops = {name: batch.measure(delay) for name, batch in batches.items()}
    for name, loop in loops.items():
        assert loop["tool_calls"] == SEARCHES * episodes, f"{name} made {loop['tool_calls']} tool calls"
        assert loop["turns"] == (SEARCHES + 1) * episodes, f"{name} sampled {loop['turns']} turns"
    return {
        "episodes": episodes,
        "delay": delay,
        "calls_per_episode": SEARCHES,
        "concurrent_seconds_asleep": SEARCHES * delay,
        "loops": loops,
    }


def _call(query: str) -> str:
    return json.dumps({"name": "text_search", "arguments": {"query": query}})


def _function(search: SlowSearch) -> Callable[[str], str]:
    def text_search(query: str) -> str:
        """Search texts.

        Args:
            query: What to look up.

        Returns:
            What was found.
        """
        return _spelled(search.search_text_blocking(query, 2))

    return text_search


def _coroutine(search: SlowSearch) -> Callable[[str], Any]:
    async def text_search(query: str) -> str:
        """Search texts.

        Args:
            query: What to look up.

        Returns:
            What was found.
        """
        return _spelled(await search.search_text(query, 2))

    return text_search


def _spelled(hits: Sequence[TextHit]) -> str:
    return "\n".join(f"{hit.title}: {hit.snippet}" for hit in hits)


def _worthless(prompts: Sequence[object], **_: Any) -> list[float]:
    return [0.0] * len(prompts)


def main(
    episodes: Annotated[int, typer.Option(help="Episodes of a batch.")] = 8,
    delay: Annotated[float, typer.Option(help="Seconds that every tool call sleeps.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Compare the graph's rollouts with TRL's tool loop on the same episodes with slow tools."""
    report = measure(episodes, delay)
    console = Console()
    if as_json:
        console.print(json.dumps(report), soft_wrap=True, highlight=False, markup=False)
        return
    table = Table("loop", "s a batch", "s without delay", "tool calls", "turns", "s asleep, added up")
    table.title = f"{episodes} episodes, tools of {delay:g} s"
    for name, loop in report["loops"].items():
        numbers = (f"{loop[key]:.2f}" for key in ("seconds", "seconds_without_delay"))
        table.add_row(name, *numbers, str(loop["tool_calls"]), str(loop["turns"]), f"{loop['seconds_asleep']:.2f}")
    console.print(table)
    console.print(f"Concurrent episodes would be asleep for {report['concurrent_seconds_asleep']:.2f} s.")


if __name__ == "__main__":
    typer.run(main)
