"""How often the agent asks back: where the words fit several objects, and where they single one out.

The same number of tasks of Emblems of both kinds is played with `Clarify()`. A question is good if all that it offers
are objects which the words fit, two of them at least. What the further answers cost is told in tokens.

Run `python -m evals.asking [--n 60] [--seed 0] [--policy FOLDER]`; prints JSON.
"""

import asyncio
import json
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import numpy as np
import typer

from evals.emblems.benchmark import benchmark_search, draw_nth_task
from evals.emblems.clips import Clip
from evals.emblems.exact import ExactSegmenter
from evals.emblems.names import Split
from evals.emblems.tasks import EmblemTask
from evals.emblems.ties import draw_tie
from graphs.candidates import Clarify, overlap
from graphs.checkpoints import MemoryThreads
from graphs.context import Context
from graphs.episode import EpisodeResult, Task
from graphs.events import Choice
from graphs.policies.loading import EMBEDDED_FOLDER
from graphs.policies.local import LocalPolicy
from graphs.profiles import get_profile
from graphs.threads import stream_thread
from tools.segmenters.prompts import box_of

_SPLIT: Split = "test"
_FITS = 0.5
"""The IoU from which a box points at an object."""


def offered(clip: Clip, choice: Choice) -> int | None:
    """Return the mover that a choice's box points at; None if there is no single box, or it fits none."""
    if choice.frame is None or len(choice.boxes) != 1 or choice.boxes[0] is None:
        return None
    boxes = [box_of(clip.mask(choice.frame, mover)) for mover in range(len(clip.movers))]
    fits = [overlap(choice.boxes[0], box) if box else 0.0 for box in boxes]
    best = int(np.argmax(fits))
    return best if fits[best] >= _FITS else None


async def play(task: EmblemTask, context: Context) -> EpisodeResult:
    """Play a task as a thread; it ends with its answer or with a question."""
    own = Task(task.query, task.clip, task.task_id)
    async with MemoryThreads().hold(task.task_id) as held:
        async for item in stream_thread(own, context, held, task.task_id):
            if isinstance(item, EpisodeResult):
                return item
    raise AssertionError("a thread ends with its result")


async def measure(policy: LocalPolicy, n: int, seed: int, clarify: Clarify) -> dict[str, Any]:
    """Play `n` tasks of either kind; count the questions, the good ones, and the tokens of all answers of a task."""
    profile = get_profile("embedded")
    template: dict[str, Any] = {"search": benchmark_search(_SPLIT, seed), "clarify": clarify}
    told: dict[str, Any] = {"n": n, "seed": seed, "samples": clarify.samples}
    for kind in ("tied", "single"):
        asked, good, tokens = 0, 0, []
        for i in range(n):
            if kind == "tied":
                task, meant = draw_tie(np.random.default_rng((seed, i, 3)), f"tied-{i}")
            else:
                task, meant = draw_nth_task(_SPLIT, seed, i), ()
            context = Context(
                policy=policy, dialect=profile.make_dialect(), budget=profile.budget, sampling=profile.sampling,
                segmenter=ExactSegmenter(task.clip), **template,
            )  # fmt: skip
            result = await play(task, context)
            tokens.append(result.usage.completion_tokens)
            if result.question is not None:
                asked += 1
                movers = {offered(task.clip, choice) for choice in result.question.choices}
                good += len(movers) >= 2 and movers <= set(meant)
        told[kind] = {"asked": asked, "good": good, "tokens": round(fmean(tokens), 1)}
    return told


def main(
    n: Annotated[int, typer.Option(min=1, help="Tasks of either kind.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Which tasks.")] = 0,
    policy: Annotated[Path, typer.Option(help="Folder of a policy.")] = EMBEDDED_FOLDER,
) -> None:
    """Count how often the agent asks which object is meant, and print it as one JSON object."""
    loaded = LocalPolicy(policy, name=policy.name)
    typer.echo(json.dumps(asyncio.run(measure(loaded, n, seed, Clarify()))))


if __name__ == "__main__":
    typer.run(main)
