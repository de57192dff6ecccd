"""Run a GRPO recipe: put the parts together, train stage by stage, measure on held-out tasks, save.

Run `python -m rl.grpo.train embedded-grpo --policy runs/early/policy --out runs/grpo`, or the same with
`accelerate launch --config_file rl/accelerate/fsdp2.yaml -m rl.grpo.train …`. A run that was cut off goes on from its
last checkpoint when the same command is given again.
"""

import gc
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import typer
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig

from graphs.budget import Budget
from graphs.context import Context
from graphs.policies.base import Sampling
from graphs.profiles import get_profile
from rl.grpo.config import check_groups, claim_folder, make_config
from rl.grpo.progress import Progress
from rl.grpo.recipe import GRPORecipe, load_recipe
from rl.grpo.sampler import OnlineRows, Sampler, open_sampler
from rl.grpo.trainer import GraphGRPOTrainer
from rl.keyframes import KeyframeSegmenter
from rl.pictures import load_patches
from rl.records.decode import RecordedRows
from rl.rewards import get_reward
from rl.rollouts import Runner
from rl.rows import RowSource
from rl.tasks import open_tasks
from rl.tasks.base import TaskSource
from rl.tasks.joined import JoinedSource
from rl.tasks.lookup import search_for
from rl.weights import plain_name, save_trained
from tools.errors import InputError, PolicyError, SegscoutError, boundary
from tools.segmenters import load_segmenter

log = logging.getLogger("segscout.grpo")


def run(recipe: GRPORecipe, out: Path, *, device: str | None = None) -> None:
    """Train by a recipe; the weights land in OUT/policy, the numbers in log.jsonl beside them.

    Of several stages each has a folder OUT/NAME and begins with the policy of the one before; the last one's policy is
    the run's. What is finished is not done again. Raises InputError for a recipe whose parts do not fit together, and
    for a folder that another recipe has used.
    """
    # Episodes make many small objects that live long; looking through them often cost a fifth of a rollout.
    gc.set_threshold(50_000, 20, 100)
    start, folder = recipe.policy, out
    for stage in recipe.staged():
        folder = out / stage.name if recipe.stages else out
        stage = stage.model_copy(update={"policy": start})
        claim_folder(stage, folder)
        if (folder / "policy").is_dir():
            log.info("%s is done; remove %s to train it again", stage.name, folder)
        else:
            _run_stage(stage, folder, device)
        start = str(folder / "policy")
    if recipe.stages:
        log.info("the policy of the last stage is in %s", folder / "policy")


def _run_stage(recipe: GRPORecipe, out: Path, device: str | None) -> None:
    config = make_config(recipe, out, device)
    check_groups(recipe, config)
    with boundary(PolicyError, f"loading {recipe.policy} failed", remedy="Check the folder or the hub id."):
        # Weights that are trained are held in 32 bits: a step of 1e-6 is lost in 16.
        dtype = torch.float32 if recipe.lora is None else getattr(torch, recipe.dtype)
        model = AutoModelForImageTextToText.from_pretrained(recipe.policy, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(recipe.policy)
    model = model.to(config.device)
    freeze(model, recipe.freeze)
    sampler = open_sampler(recipe, model, tokenizer, out, config.process_index)
    with boundary(InputError, f"{recipe.name}: [lora] does not fit PEFT", remedy="Check its fields."):
        adapter = None if recipe.lora is None else LoraConfig(**recipe.lora)
    trainer = GraphGRPOTrainer(
        model,
        _rows(recipe, sampler, config),
        sampler.chatml,
        config,
        tokenizer=tokenizer,
        seed=recipe.seed,
        refills=recipe.refills,
        even_spread=recipe.even_spread,
        overlong=recipe.shaping(),
        parity_alarm=None if recipe.records else recipe.parity_alarm,
        behaviour=recipe.records is not None or not sampler.exact,
        peft_config=adapter,
        patches=load_patches(recipe.policy),
        before_rollouts=sampler.update,
    )
    freeze(trainer.model, recipe.freeze)  # an adapter brings weights of its own
    last = get_last_checkpoint(config.output_dir) if recipe.save_every and Path(config.output_dir).is_dir() else None
    held_out = _held_out(recipe, sampler, config)
    progress = Progress(
        out,
        recipe.held_out,
        held_out,
        recipe.minutes,
        resumed=last is not None,
        refresh=lambda: sampler.update(trainer),
    )
    trainer.add_callback(progress)
    trainer.train(resume_from_checkpoint=last)
    save_trained(trainer, out / "policy", recipe.policy)


def freeze(model: Any, parts: Sequence[str]) -> None:
    """Keep the weights whose names, without an adapter around them, begin with one of `parts`."""
    for name, parameter in model.named_parameters():
        if any(plain_name(name).startswith(part) for part in parts):
            parameter.requires_grad_(False)


def _rows(recipe: GRPORecipe, sampler: Sampler, config: GRPOConfig) -> RowSource:
    """Return logged groups if the recipe names records, else episodes of its tasks."""
    if recipe.records is not None:
        return RecordedRows.open(recipe.records, group=config.num_generations)
    parts = (recipe.tasks, *recipe.tasks.also)
    sources = [open_tasks(part.source, part.data, split=part.split, seed=part.seed, n=part.n) for part in parts]
    source = sources[0] if len(sources) == 1 else JoinedSource(sources)
    return OnlineRows(_runner(recipe, sampler, source, Sampling(temperature=config.temperature), recipe.budget, config))


def _held_out(recipe: GRPORecipe, sampler: Sampler, config: GRPOConfig) -> Runner | None:
    part = recipe.held_out
    if part is None:
        return None
    source = open_tasks(recipe.tasks.source, recipe.tasks.data, split=part.split, seed=part.seed, n=part.n)
    return _runner(recipe, sampler, source, Sampling(), {}, config)


def _runner(
    recipe: GRPORecipe,
    sampler: Sampler,
    source: TaskSource,
    sampling: Sampling,
    limits: Mapping[str, int],
    config: GRPOConfig,
) -> Runner:
    """Return a runner of tasks as the recipe has them played; `limits` replace those of the profile's budget."""
    profile = get_profile(recipe.profile)
    context = Context(
        policy=sampler.policy,
        dialect=profile.make_dialect(),
        segmenter=KeyframeSegmenter(
            load_segmenter(recipe.segmenter, model=recipe.sam2_model, device=str(config.device))
        ),
        search=search_for(source, recipe.knowledge) if recipe.search else None,
        budget=_budget(profile.budget, limits, recipe.name),
        sampling=sampling,
    )
    return Runner(source, context, sampler.chatml, get_reward(recipe.reward), concurrency=recipe.concurrency)


def _budget(budget: Budget, limits: Mapping[str, int], name: str) -> Budget:
    with boundary(InputError, f"{name}: [budget] does not fit", remedy="Name limits of an episode, as turns."):
        return replace(budget, **limits)


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
    try:
        typer.run(main)
    except SegscoutError as error:
        sys.exit(str(error))
