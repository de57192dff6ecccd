"""Run a GRPO recipe: put the parts together, train, measure on held-out tasks, log every step, save.

Run `python -m rl.grpo.train embedded-grpo --policy runs/early/policy --out runs/grpo`.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import typer
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration, TrainerCallback
from trl import GRPOConfig

from graphs.context import Context
from graphs.policies.base import Sampling
from graphs.policies.batching import BatchingPolicy
from graphs.profiles import get_profile
from rl.checkpoints import save_policy
from rl.grpo.recipe import GRPORecipe, load_recipe
from rl.grpo.trainer import GraphGRPOTrainer
from rl.keyframes import KeyframeSegmenter
from rl.rewards import get_reward
from rl.rollouts import Rollout, Runner
from rl.rows import TrainingRow
from rl.tasks import open_tasks
from rl.tasks.base import TaskSource
from rl.tasks.lookup import search_for
from tools.devices import choose_device
from tools.errors import PolicyError, boundary
from tools.segmenters import load_segmenter

log = logging.getLogger("segscout.grpo")


class Progress(TrainerCallback):  # type: ignore[misc]
    """Write one line a step, measure on held-out tasks, and stop when the minutes are over."""

    def __init__(self, recipe: GRPORecipe, held_out: Runner | None, policy: BatchingPolicy, out: Path) -> None:
        self._recipe, self._held_out, self._policy, self._out = recipe, held_out, policy, out
        self._began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Append TRL's numbers of this step to log.jsonl."""
        self._write({"step": state.global_step, "minutes": self._minutes(), **(logs or {})})

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure where it starts."""
        self.measure(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure now and then; stop when time is up."""
        due = self._recipe.held_out is not None and state.global_step % self._recipe.held_out.every == 0
        over = self._recipe.minutes is not None and self._minutes() > self._recipe.minutes
        self._policy.forget()
        if due or over:
            self.measure(state.global_step)
        control.should_training_stop = control.should_training_stop or over

    def measure(self, step: int) -> None:
        """Play the held-out tasks greedily and write how it went."""
        part = self._recipe.held_out
        if self._held_out is None or part is None:
            return
        rollouts = self._held_out.run([(index, 0) for index in range(part.n)])
        kept = [rollout for rollout in rollouts if rollout is not None]
        self._write({"step": step, "minutes": self._minutes(), **summarise(kept)})

    def _minutes(self) -> float:
        return (time.monotonic() - self._began) / 60

    def _write(self, line: dict[str, Any]) -> None:
        log.info(" ".join(f"{key}={value:.4g}" for key, value in line.items() if isinstance(value, float | int)))
        with (self._out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class OnlineRows:
    """Rows that are rolled out when they are asked for."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __len__(self) -> int:
        return len(self._runner.source)

    def run(self, wanted: Sequence[tuple[int, int]]) -> list[TrainingRow | None]:
        """Roll out; see `RowSource`."""
        return [None if rollout is None else rollout.row() for rollout in self._runner.run(wanted)]


def summarise(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return held-out means; shares are 0 to 1."""

    def mean(values: Sequence[float]) -> float:
        return sum(values) / max(1, len(values))

    by_ability = {ability: [r for r in rollouts if r.task.ability == ability] for ability in
                  sorted({rollout.task.ability for rollout in rollouts})}  # fmt: skip
    return {
        "held_out/n": float(len(rollouts)),
        "held_out/success": mean([float(rollout.success) for rollout in rollouts]),
        "held_out/reward": mean([rollout.reward for rollout in rollouts]),
        "held_out/answered": mean([float(rollout.result.ending.answered) for rollout in rollouts]),
        "held_out/searches": mean([float(rollout.result.usage.searches) for rollout in rollouts]),
        "held_out/useless": mean([float(rollout.play.searches - rollout.play.useful) for rollout in rollouts]),
        "held_out/turns": mean([float(rollout.result.usage.turns) for rollout in rollouts]),
        **{f"held_out/{name}": mean([float(r.success) for r in some]) for name, some in by_ability.items()},
    }


def run(recipe: GRPORecipe, out: Path, *, device: str | None = None) -> None:
    """Train by a recipe; weights land in OUT/policy, numbers in OUT/log.jsonl."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(recipe.model_dump_json(indent=1) + "\n")
    chosen = choose_device(device)
    with boundary(PolicyError, f"loading {recipe.policy} failed", remedy="Check the folder or the hub id."):
        model = Qwen3VLForConditionalGeneration.from_pretrained(recipe.policy, dtype=getattr(torch, recipe.dtype))
        tokenizer = AutoTokenizer.from_pretrained(recipe.policy)
    model = model.to(chosen)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(name.startswith(part) for part in recipe.freeze))
    policy = BatchingPolicy(model, tokenizer, name=recipe.name)
    config = GRPOConfig(
        output_dir=str(out / "trainer"),
        seed=recipe.seed,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=chosen.type == "cpu",
        bf16=recipe.dtype == "bfloat16",
        dataloader_num_workers=0,
        disable_tqdm=True,
        **recipe.trl,
    )
    tasks = recipe.tasks
    source = open_tasks(tasks.source, tasks.data, split=tasks.split, seed=tasks.seed, n=tasks.n)
    runner = make_runner(recipe, policy, source, Sampling(temperature=config.temperature), recipe.budget, device)
    trainer = GraphGRPOTrainer(
        model,
        OnlineRows(runner),
        policy.chatml,
        config,
        tokenizer=tokenizer,
        seed=recipe.seed,
        refills=recipe.refills,
        overlong=recipe.shaping(),
        parity_alarm=recipe.parity_alarm,
    )
    held_out = None
    if recipe.held_out is not None:
        part = recipe.held_out
        others = open_tasks(tasks.source, tasks.data, split=part.split, seed=part.seed, n=part.n)
        held_out = make_runner(recipe, policy, others, Sampling(), {}, device)
    trainer.add_callback(Progress(recipe, held_out, policy, out))
    trainer.train()
    save_policy(model, out / "policy", like=Path(recipe.policy))


def make_runner(
    recipe: GRPORecipe,
    policy: BatchingPolicy,
    source: TaskSource,
    sampling: Sampling,
    limits: Mapping[str, int],
    device: str | None,
) -> Runner:
    """Return a runner of tasks as the recipe has them played; `limits` replace those of the profile's budget."""
    profile = get_profile(recipe.profile)
    context = Context(
        policy=policy,
        dialect=profile.make_dialect(),
        segmenter=KeyframeSegmenter(load_segmenter(recipe.segmenter, device=device)),
        search=search_for(source, recipe.knowledge) if recipe.search else None,
        budget=replace(profile.budget, **limits),
        sampling=sampling,
    )
    return Runner(source, context, policy.chatml, get_reward(recipe.reward))


def main(
    recipe: str, policy: str = "", out: Path = Path("runs/grpo"), device: str = "", reward: str = "", minutes: float = 0
) -> None:
    """Run a recipe (a name or a .toml file); --policy, --reward and --minutes replace what it says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    changed = {
        **({"policy": policy} if policy else {}),
        **({"reward": reward} if reward else {}),
        **({"minutes": minutes} if minutes else {}),
    }
    run(load_recipe(recipe).model_copy(update=changed), out, device=device or None)


if __name__ == "__main__":
    typer.run(main)
