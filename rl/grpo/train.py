"""Run a GRPO recipe: put the parts together, train stage by stage, measure on held-out tasks, save.

Run `python -m rl.grpo.train embedded-grpo --policy runs/careless/policy --out runs/grpo`, or the same with
`accelerate launch --config_file rl/accelerate/fsdp2.yaml -m rl.grpo.train …`. A run that was cut off goes on from its
last checkpoint when the same command is given again.
"""

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from transformers import AutoModelForImageTextToText, AutoTokenizer
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig

from graphs.budget import Budget
from graphs.context import Context
from graphs.policies.base import Sampling
from graphs.policies.vllm_server import VLLMServer
from graphs.profiles import get_profile
from rl.grpo.config import check_groups, make_config
from rl.grpo.progress import Progress
from rl.grpo.recipe import GRPORecipe, HeldOutPart, load_recipe
from rl.grpo.sampler import OnlineRows, Sampler, open_sampler
from rl.grpo.trainer import GraphGRPOTrainer
from rl.keyframes import KeyframeSegmenter
from rl.pictures import load_patches
from rl.policy_names import find_checkpoint
from rl.records.decode import RecordedRows
from rl.rewards import get_reward
from rl.rollouts import Runner
from rl.rows import RowSource
from rl.run_folder import check_folder, claim_folder, tell_finished
from rl.tasks import open_tasks
from rl.tasks.base import TaskSource
from rl.tasks.joined import JoinedSource
from rl.tasks.lookup import search_for
from rl.weights import held_dtype, make_adapter, plain_name, save_trained
from tools.errors import InputError, PolicyError, SegscoutError, boundary
from tools.segmenters import load_segmenter
from tools.settings import read_settings

log = logging.getLogger("segscout.grpo")


def run(recipe: GRPORecipe, out: Path, *, device: str | None = None) -> None:
    """Train by a recipe; the weights land in OUT/policy, the numbers in log.jsonl beside them.

    Of several stages each has a folder OUT/NAME and begins with the policy of the one before; the last one's policy is
    the run's. What is finished is not done again, and a folder is claimed when all that it takes has been loaded.
    Raises InputError for a recipe whose parts do not fit together, and for a folder that another recipe has used;
    PolicyError if the checkpoint cannot be loaded.
    """
    # Episodes make many small objects that live long; looking through them often cost a fifth of a rollout.
    gc.set_threshold(50_000, 20, 100)
    stages = _stages(recipe, out)
    configs = [_check(stage, folder, device) for stage, folder in stages]
    left = [stage for stage, folder in stages if not (folder / "policy").is_dir()]
    for stage in left:
        _reach(stage)
    for (stage, folder), config in zip(stages, configs, strict=True):
        if stage not in left:
            tell_finished(stage.name, folder)
        else:
            _run_stage(stage, folder, config)
    if recipe.stages:
        log.info("the policy of the last stage is in %s", stages[-1][1] / "policy")


def _stages(recipe: GRPORecipe, out: Path) -> list[tuple[GRPORecipe, Path]]:
    """Return each stage with its folder; it begins with the policy of the one before."""
    stages: list[tuple[GRPORecipe, Path]] = []
    start = recipe.policy
    for stage in recipe.staged():
        folder = out / stage.name if recipe.stages else out
        stages.append((stage.model_copy(update={"policy": start}), folder))
        start = str(folder / "policy")
    return stages


def _check(recipe: GRPORecipe, folder: Path, device: str | None) -> GRPOConfig:
    """Return TRL's configuration of a stage; InputError for what can be seen to be wrong before anything is loaded."""
    config = make_config(recipe, folder, device)
    check_groups(recipe, config)
    make_adapter(recipe.name, recipe.lora)
    get_profile(recipe.profile)
    get_reward(recipe.reward)
    check_folder(recipe, folder)
    return config


def _reach(recipe: GRPORecipe) -> None:
    """Look for a stage's folders, tasks and servers, before a policy is loaded and other stages have taken hours."""
    for folder in (recipe.records, recipe.knowledge):
        if folder is not None and not folder.is_dir():
            raise InputError(f"the folder {folder} is missing.", remedy=f"{recipe.name} needs {recipe.needs}.")
    if recipe.records is None:
        _open_source(recipe)
    if recipe.held_out is not None:
        _open_held_out(recipe, recipe.held_out)
    for url in recipe.sampler.urls if recipe.samples else ():
        VLLMServer(url, api_key=read_settings().secret()).greet(recipe.sampler.model)


def _run_stage(recipe: GRPORecipe, out: Path, config: GRPOConfig) -> None:
    policy = find_checkpoint(recipe.policy, needs=recipe.needs)
    with boundary(PolicyError, f"loading {policy} failed", remedy="Check the folder or the hub id."):
        dtype = held_dtype(recipe.dtype, recipe.lora)
        model = AutoModelForImageTextToText.from_pretrained(policy, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(policy)
    model = model.to(config.device)
    freeze(model, recipe.freeze)
    sampler = open_sampler(recipe, policy, model, tokenizer, out, config.process_index)

    @cache  # training and held-out episodes share it; without any, none is loaded
    def segmenter() -> KeyframeSegmenter:
        return KeyframeSegmenter(load_segmenter(recipe.segmenter, model=recipe.sam2_model, device=str(config.device)))

    trainer = GraphGRPOTrainer(
        model,
        _rows(recipe, sampler, segmenter, config),
        sampler.chatml,
        config,
        tokenizer=tokenizer,
        seed=recipe.seed,
        refills=recipe.refills,
        even_spread=recipe.even_spread,
        overlong=recipe.shaping(),
        parity_alarm=None if recipe.records else recipe.parity_alarm,
        behaviour=recipe.records is not None or not sampler.exact,
        peft_config=make_adapter(recipe.name, recipe.lora),
        patches=load_patches(policy),
        before_rollouts=sampler.update,
    )
    freeze(trainer.model, recipe.freeze)  # an adapter brings weights of its own
    last = get_last_checkpoint(config.output_dir) if recipe.save_every and Path(config.output_dir).is_dir() else None
    held_out = _held_out(recipe, sampler, segmenter)
    if trainer.is_world_process_zero():
        claim_folder(recipe, out)
    trainer.accelerator.wait_for_everyone()
    trainer.add_callback(
        Progress(out, recipe.held_out, held_out, recipe.minutes, refresh=lambda: sampler.update(trainer))
    )
    trainer.train(resume_from_checkpoint=last)
    save_trained(trainer, out / "policy", policy)


def freeze(model: Any, parts: Sequence[str]) -> None:
    """Keep the weights whose names, without an adapter around them, begin with one of `parts`."""
    for name, parameter in model.named_parameters():
        if any(plain_name(name).startswith(part) for part in parts):
            parameter.requires_grad_(False)


def _rows(
    recipe: GRPORecipe, sampler: Sampler, segmenter: Callable[[], KeyframeSegmenter], config: GRPOConfig
) -> RowSource:
    """Return logged groups if the recipe names records, else episodes of its tasks."""
    if recipe.records is not None:
        return RecordedRows.open(recipe.records, group=config.num_generations)
    sampling, budget = Sampling(temperature=config.temperature), recipe.budget.over(get_profile(recipe.profile).budget)
    return OnlineRows(_runner(recipe, sampler, segmenter(), _open_source(recipe), sampling, budget))


def _open_source(recipe: GRPORecipe) -> TaskSource:
    parts = (recipe.tasks, *recipe.tasks.also)
    sources = [open_tasks(part.source, part.data, split=part.split, seed=part.seed, n=part.n) for part in parts]
    return sources[0] if len(sources) == 1 else JoinedSource(sources)


def _held_out(recipe: GRPORecipe, sampler: Sampler, segmenter: Callable[[], KeyframeSegmenter]) -> Runner | None:
    if recipe.held_out is None:
        return None
    source = _open_held_out(recipe, recipe.held_out)
    return _runner(recipe, sampler, segmenter(), source, Sampling(), get_profile(recipe.profile).budget)


def _open_held_out(recipe: GRPORecipe, part: HeldOutPart) -> TaskSource:
    return open_tasks(recipe.tasks.source, recipe.tasks.data, split=part.split, seed=part.seed, n=part.n)


def _runner(
    recipe: GRPORecipe,
    sampler: Sampler,
    segmenter: KeyframeSegmenter,
    source: TaskSource,
    sampling: Sampling,
    budget: Budget,
) -> Runner:
    """Return a runner of tasks as the recipe has them played."""
    context = Context(
        policy=sampler.policy,
        dialect=get_profile(recipe.profile).make_dialect(),
        segmenter=segmenter,
        search=search_for(source, recipe.knowledge) if recipe.search else None,
        budget=budget,
        sampling=sampling,
    )
    return Runner(source, context, sampler.chatml, get_reward(recipe.reward), concurrency=recipe.concurrency)


def main(
    recipe: str,
    policy: str = "",
    out: Path = Path("runs/grpo"),
    device: str = "",
    reward: str = "",
    minutes: Annotated[float, typer.Option(min=0)] = 0,
) -> None:
    """Run a recipe (a name or a .toml file); --policy, --reward and --minutes replace what it says."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for library in ("httpx", "httpx2"):
        logging.getLogger(library).setLevel(logging.WARNING)  # a server that samples is asked at every turn
    if policy:
        find_checkpoint(policy)
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
