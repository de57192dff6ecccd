"""Check a recipe against the folder, the processes and TRL before anything is loaded."""

from pathlib import Path
from typing import Any

from trl import GRPOConfig

from rl.devices import choose_kind
from rl.grpo.recipe import GRPORecipe
from tools.errors import InputError, boundary

_UNHEARD = frozenset(
    {
        "top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs", "chat_template_kwargs", "use_vllm",
        "cache_implementation", "max_tool_calling_iterations", "shuffle_dataset", "output_dir", "seed",
    }
)  # fmt: skip
"""Fields of TRL for what is not TRL's here: sampling, the order of tasks, and what the run itself says."""


def make_config(recipe: GRPORecipe, out: Path, device: str | None) -> GRPOConfig:
    """Return TRL's configuration; InputError names what does not fit."""
    unheard = _UNHEARD & set(recipe.trl)
    if unheard:
        raise InputError(
            f"{recipe.name}: [trl] {', '.join(sorted(unheard))} would not be heard here.",
            remedy="Leave it out: episodes are sampled from the whole distribution, and seed and folder are the run's.",
        )
    with boundary(InputError, f"{recipe.name}: [trl] does not fit TRL's GRPOConfig", remedy="Check its fields."):
        config = GRPOConfig(
            output_dir=str(out / "trainer"),
            seed=recipe.seed,
            logging_steps=1,
            report_to="none",
            use_cpu=choose_kind(device) == "cpu",
            bf16=recipe.dtype == "bfloat16",
            dataloader_num_workers=0,
            disable_tqdm=True,
            **_saving(recipe.save_every),
            **recipe.trl,
        )
    _check_lengths(recipe, config)
    if recipe.sampler.branch and config.temperature != 1.0:
        raise InputError(
            f"{recipe.name}: turns sampled at temperature {config.temperature:g} do not branch.",
            remedy="Leave out branch under [sampler], or temperature under [trl].",
        )
    generations = recipe.save_every * config.gradient_accumulation_steps
    if generations % (config.steps_per_generation * config.num_iterations):
        raise InputError(
            f"{recipe.name}: save_every = {recipe.save_every} would cut a batch of episodes in two.",
            remedy="Save after steps that end one: a multiple of steps_per_generation / gradient_accumulation_steps.",
        )
    return config


def _check_lengths(recipe: GRPORecipe, config: GRPOConfig) -> None:
    """Raise InputError for limits of length that TRL's own sampling would keep: the episode's budget does it here."""
    if "max_completion_length" in recipe.trl and config.loss_type != "dr_grpo":
        raise InputError(
            f"{recipe.name}: [trl] max_completion_length would not be heard here: only dr_grpo divides by it.",
            remedy="Say how long turns and episodes may be as turn_tokens and tokens under [budget].",
        )
    if config.mask_truncated_completions:
        raise InputError(
            f"{recipe.name}: [trl] mask_truncated_completions would mask most episodes, since a turn ends at its "
            "closing tag and not at the token that ends a text.",
            remedy="Leave it out, and say under [overlong] what long episodes cost.",
        )


def check_groups(recipe: GRPORecipe, config: GRPOConfig) -> None:
    """Raise InputError if several processes share a group that must be drawn anew or is handed out from records."""
    own = config.per_device_train_batch_size * config.steps_per_generation
    if (recipe.refills or recipe.records) and own % config.num_generations:
        raise InputError(
            f"a process holds {own} episodes, which are no whole groups of {config.num_generations}.",
            remedy="Raise steps_per_generation, or set refills = 0 and use no records.",
        )


def _saving(every: int) -> dict[str, Any]:
    if not every:
        return {"save_strategy": "no"}
    return {"save_strategy": "steps", "save_steps": every, "save_total_limit": 1}
