"""The policy on a CPU with and without guesses: passes of the model and seconds for the same turns, side by side.

Tasks of Emblems are played with exact masks, so that the policy is what is timed; each task first without guesses, then
with them, then once more with them, as samples that are compared with one another repeat a text. Pictures are encoded
before, and no key-value cache outlives a play. Run `python -m evals.speed.drafts [--n 20] [--seed 0]`; prints JSON.
"""

import asyncio
import json
from dataclasses import replace
from time import perf_counter
from typing import Annotated, Any

import typer

from evals.contexts import make_context
from evals.emblems.benchmark import benchmark_search, draw_nth_task, run_task
from evals.emblems.exact import ExactSegmenter
from evals.emblems.names import Split
from evals.emblems.tasks import EmblemTask
from graphs.context import Context
from graphs.policies.drafts import Drafts
from graphs.policies.loading import EMBEDDED_FOLDER
from graphs.policies.local import LocalPolicy
from graphs.profiles import get_profile

_SPLIT: Split = "test"
_WAYS = ("plain", "guessed", "repeated")


class _Counted(LocalPolicy):
    """Counts passes and seconds beyond those that read what is new, and the tokens that they gave."""

    def reset(self, drafts: Drafts) -> None:
        self._drafts, self._memories = drafts, []
        self.passes, self.seconds, self.tokens = 0, 0.0, 0

    def _step(self, *step: Any) -> Any:
        start = perf_counter()
        rows = super()._step(*step)
        self.seconds += perf_counter() - start
        self.passes += 1
        return rows


def _play(policy: _Counted, task: EmblemTask, context: Context) -> tuple[str, ...]:
    _, result = asyncio.run(run_task(task, replace(context, segmenter=ExactSegmenter(task.clip))))
    policy.tokens += result.usage.completion_tokens
    return tuple(turn.text for turn in result.conversation if turn.role == "assistant")


def compare(n: int, seed: int) -> dict[str, Any]:
    """Play `n` tasks in each way; returns what each took in all, and how many tasks ended with other words."""
    policy, drafts = _Counted(EMBEDDED_FOLDER, device="cpu"), Drafts()
    search = benchmark_search(_SPLIT, seed)
    context = make_context(policy, get_profile("embedded"), segmenter="grabcut", search=search)
    told = {way: {"tokens": 0, "passes": 0, "seconds": 0.0} for way in _WAYS}
    differing = 0
    for number in range(n):
        task, words = draw_nth_task(_SPLIT, seed, number), set()
        policy.reset(Drafts(length=0))
        _play(policy, task, context)  # pictures
        for way in _WAYS:
            policy.reset(Drafts(length=0) if way == "plain" else drafts)
            words.add(_play(policy, task, context))
            for key in told[way]:
                told[way][key] += getattr(policy, key)
        differing += len(words) > 1
    rounded = {way: {**row, "seconds": round(row["seconds"], 2)} for way, row in told.items()}
    return {"n": n, "seed": seed, "differing": differing, **rounded}


def main(
    n: Annotated[int, typer.Option(min=1, help="Tasks.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Which tasks.")] = 0,
) -> None:
    """Compare the policy in process with and without guesses, and print it as one JSON object."""
    typer.echo(json.dumps(compare(n, seed)))


if __name__ == "__main__":
    typer.run(main)
