"""A run that makes the embedded policy, as one TOML file states it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from evals.emblems.tasks import Ability
from rl.recipes import RecipePart, find_recipe, read_recipe
from rl.sft.chatter import SILENCE, Chatter
from rl.sft.model import PolicySize
from rl.sft.trajectories import CAREFUL, Carelessness

RECIPES = Path(__file__).parent / "recipes"


class Stage(RecipePart):
    """One stage: its data, its length (steps, or minutes if they end first) and its learning rate.

    `rows` and `slots` are those of a whole batch; several processes share it. `jitter` shifts coordinates by up to so
    many units; `freeze` names the part of the model ("" for none) that keeps its weights; `mix` says how often
    trajectories of each ability are drawn (all as in `trajectories.MIX` if it is empty), `careless` how often their
    demonstrator errs, `chatter` how often strangers speak in what is found, and `tied` how often the words fit several
    objects.
    """

    name: str
    data: Literal["perception", "trajectories"]
    steps: PositiveInt
    minutes: PositiveFloat
    learning_rate: PositiveFloat
    warmup: NonNegativeInt
    rows: PositiveInt
    length: PositiveInt
    trained: PositiveInt
    slots: dict[PositiveInt, NonNegativeInt]
    jitter: NonNegativeInt = 0
    freeze: Literal["", "model.visual", "model.language_model"] = ""
    mix: Mapping[Ability, NonNegativeFloat] = {}
    careless: Carelessness = CAREFUL
    chatter: Chatter = SILENCE
    tied: Annotated[float, Field(ge=0, le=1)] = 0.0


class Recipe(RecipePart):
    """A whole run."""

    name: str
    reproduces: str
    needs: str
    policy: str = ""
    """The folder of the checkpoint whose weights and tokenizer it begins with; "": random weights."""
    seed: NonNegativeInt
    vocabulary: PositiveInt
    sigma: PositiveFloat
    workers: PositiveInt
    matrix_optimizer: Literal["muon", "adamw"]
    weight_decay: NonNegativeFloat
    log_every: PositiveInt
    save_minutes: PositiveFloat
    size: PolicySize = PolicySize()
    cpu_bfloat16: bool = False
    """Compute in bfloat16 on a CPU, too; it pays where the CPU multiplies such numbers itself."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]


def load_recipe(where: str) -> Recipe:
    """Read a recipe by name or path; InputError names the field that is wrong, or lists the recipes there are."""
    return read_recipe(find_recipe(where, RECIPES), Recipe)
