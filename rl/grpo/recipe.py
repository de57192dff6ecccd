"""A reinforcement-learning run as one TOML file states it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt, field_validator

from graphs.budget import Budget
from rl.grpo.shaping import Overlong
from rl.recipes import RecipePart, find_recipe, read_recipe
from tools.segmenters import NAMES


class TasksPart(RecipePart):
    """Which tasks: a source of `rl/tasks`, its split and seed, how many, where its files lie, and what else to join."""

    source: str
    split: str = "train"
    seed: int = 0
    n: int | None = None
    data: Path | None = None
    also: tuple["TasksPart", ...] = ()


class HeldOutPart(RecipePart):
    """What the policy is measured on while it learns: greedy episodes on other tasks, every so many steps."""

    split: str = "val"
    seed: int = 1
    n: PositiveInt = 200
    every: PositiveInt = 20


class BudgetPart(RecipePart):
    """Limits of an episode in training that replace those of the profile: fields of `graphs.budget.Budget`."""

    turns: PositiveInt | None = None
    searches: NonNegativeInt | None = None
    repairs: NonNegativeInt | None = None
    turn_tokens: PositiveInt | None = None
    tokens: PositiveInt | None = None

    def over(self, budget: Budget) -> Budget:
        """Return a budget with these limits in the place of its own."""
        return replace(budget, **self.model_dump(exclude_none=True))


class OverlongPart(RecipePart):
    """DAPO's overlong shaping, in policy tokens."""

    limit: PositiveInt
    cache: PositiveInt
    most: float = 1.0


class SamplerPart(RecipePart):
    """vLLM servers that sample, http://host:port each; without any, the trained model itself does, in process."""

    urls: tuple[str, ...] = ()
    model: str | None = None
    """Which of the models that a server serves."""
    coalesce: bool = False
    """Whether a group's turns are one request while its prompts are the same: for short turns of a small policy."""
    branch: bool = False
    """Whether they are decoded together until they part: for a policy that is sure of most of what it says."""


class StagePart(RecipePart):
    """What one stage of several does differently; what it leaves out is as in the recipe.

    Its `trl` and `budget` add to those of the recipe.
    """

    name: str
    profile: str | None = None
    reward: str | None = None
    tasks: TasksPart | None = None
    budget: BudgetPart = BudgetPart()
    minutes: float | None = None
    trl: Mapping[str, Any] = {}


class GRPORecipe(RecipePart):
    """The whole run; `trl` holds fields of TRL's GRPOConfig, `lora` those of PEFT's LoraConfig (none: all weights)."""

    name: str
    reproduces: str
    needs: str
    policy: str
    profile: str
    reward: str
    seed: int
    tasks: TasksPart
    held_out: HeldOutPart | None = None
    records: Path | None = None
    """Logged groups to train on instead of fresh episodes (offline)."""
    sampler: SamplerPart = SamplerPart()
    segmenter: str = "sam2"
    sam2_model: str | None = None
    """Another SAM 2 than the one that ships: hub id or folder."""
    search: bool = True
    knowledge: Path | None = None
    """The knowledge base to search, a folder; Emblems bring their own."""
    budget: BudgetPart = BudgetPart()
    freeze: tuple[str, ...] = ()
    refills: int = 0
    even_spread: float = 1e-6
    """Groups whose rewards lie this near to one another are drawn anew, `refills` times at most."""
    overlong: OverlongPart | None = None
    parity_alarm: float = 0.05
    concurrency: int = 256
    """Episodes under way at once, in each process."""
    save_every: int = 0
    """Steps between checkpoints that a run which was cut off resumes from; 0 writes none."""
    minutes: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora: Mapping[str, Any] | None = None
    trl: Mapping[str, Any] = {}
    stages: tuple[StagePart, ...] = ()
    """Runs one after the other, each beginning with the policy of the one before; none: one run."""

    @field_validator("segmenter")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in NAMES:
            raise ValueError(f"there is no segmenter {name!r}, only {', '.join(NAMES)}")
        return name

    @property
    def samples(self) -> bool:
        """Whether episodes are sampled at all: for training, or to measure what records taught."""
        return self.records is None or self.held_out is not None

    def staged(self) -> list["GRPORecipe"]:
        """Return the recipe of each stage: this one if there are none."""
        if not self.stages:
            return [self]
        own = {"profile", "reward", "tasks", "minutes"}
        return [
            self.model_copy(
                update={
                    "name": stage.name,
                    "stages": (),
                    "trl": {**self.trl, **stage.trl},
                    "budget": self.budget.model_copy(update=stage.budget.model_dump(exclude_none=True)),
                    **{field: getattr(stage, field) for field in own if getattr(stage, field) is not None},
                }
            )
            for stage in self.stages
        ]

    def shaping(self) -> Overlong | None:
        """Return the overlong shaping, None without."""
        return None if self.overlong is None else Overlong(**self.overlong.model_dump())


def load_recipe(where: str) -> GRPORecipe:
    """Read a recipe by name or path; InputError names the field that is wrong, or lists the recipes there are."""
    return read_recipe(find_recipe(where, Path(__file__).parent / "recipes"), GRPORecipe)
