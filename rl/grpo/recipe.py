"""A reinforcement-learning run as one TOML file states it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rl.grpo.shaping import Overlong
from tools.errors import InputError, boundary


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TasksPart(_Part):
    """Which tasks: a source of `rl/tasks`, its split and seed, how many, and where its files lie."""

    source: str
    split: str = "train"
    seed: int = 0
    n: int | None = None
    data: Path | None = None


class HeldOutPart(_Part):
    """What the policy is measured on while it learns: greedy episodes on other tasks, every so many steps."""

    split: str = "val"
    seed: int = 1
    n: int = 200
    every: int = 20


class OverlongPart(_Part):
    """DAPO's overlong shaping, in policy tokens."""

    limit: int
    cache: int
    most: float = 1.0


class GRPORecipe(_Part):
    """The whole run; `trl` holds fields of TRL's GRPOConfig as they are called there."""

    name: str
    reproduces: str
    needs: str
    policy: str
    profile: str
    reward: str
    seed: int
    tasks: TasksPart
    held_out: HeldOutPart | None = None
    segmenter: str = "sam2"
    search: bool = True
    knowledge: Path | None = None
    """The knowledge base to search, a folder; Emblems bring their own."""
    budget: Mapping[str, int] = {}
    """Limits of an episode in training (fields of `Budget`) that replace the profile's."""
    freeze: tuple[str, ...] = ()
    refills: int = 0
    overlong: OverlongPart | None = None
    parity_alarm: float = 0.05
    minutes: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    lora: Mapping[str, Any] | None = None
    trl: Mapping[str, Any] = {}

    def shaping(self) -> Overlong | None:
        """Return the overlong shaping, None without."""
        return None if self.overlong is None else Overlong(**self.overlong.model_dump())


def load_recipe(where: str) -> GRPORecipe:
    """Read a recipe by name or path; InputError names the field that is wrong, or lists the recipes there are."""
    folder = Path(__file__).parent / "recipes"
    path = Path(where) if where.endswith(".toml") else folder / f"{where}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise InputError(f"there is no recipe {where!r}.", remedy=f"Give a .toml file, or one of: {known}.")
    with boundary(InputError, f"cannot read {path}", remedy="Write it as TOML."):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return GRPORecipe.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {field}: {first['msg']}.", remedy="Compare with the recipes beside it.") from error
