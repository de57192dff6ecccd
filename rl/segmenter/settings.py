"""The training command's settings, read from TOML; unknown keys are refused."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from tools.errors import InputError

Section = TypeVar("Section")


@dataclass(frozen=True)
class ModelSettings:
    """Sizes of the network; lists have one entry per Hiera stage."""

    image_size: int = 256
    widths: tuple[int, ...] = (48, 96, 192, 256)
    blocks: tuple[int, ...] = (2, 4, 4, 1)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    windows: tuple[int, ...] = (8, 8, 16, 8)
    decoder_width: int = 128
    decoder_mlp: int = 512
    decoder_heads: int = 4


@dataclass(frozen=True)
class DataSettings:
    """What is rendered and how it is kept; `pool` counts scenes of 0.4 MB each on the training device."""

    seed: int = 1
    emblem_share: float = 0.3
    workers: int = 15
    pool: int = 30000
    pool_least: int = 1000
    window: float = 1.8
    most_views: float = 0.0
    """Most looks at one rendered target, on average; training waits for new scenes beyond it; 0 never waits."""


@dataclass(frozen=True)
class OptimiserSettings:
    """Schedule and optimiser; training ends at `steps` or `minutes`, whichever comes first, and the rate with it."""

    steps: int = 1_000_000
    minutes: float = 12.0
    batch: int = 512
    rate: float = 1.5e-3
    warmup: int = 300
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.999
    compile: bool = False


@dataclass(frozen=True)
class RunSettings:
    """How often to log, evaluate and save, in seconds, and the sizes of the held-out sets, in scenes."""

    log_every: float = 10.0
    evaluate_every: float = 150.0
    save_every: float = 60.0
    held_out: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Settings:
    """Everything that decides a training run."""

    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    run: RunSettings = field(default_factory=RunSettings)


def read_settings(path: Path) -> Settings:
    """Read a TOML file with the tables model, data, optimiser and run. Raises InputError for anything unknown."""
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as cause:
        raise InputError(
            f"cannot read the settings {path}: {cause}.", remedy="Start from rl/segmenter/configs/."
        ) from cause
    _refuse_unknown(path, "", tables, Settings)
    return Settings(
        model=_section(path, "model", tables, ModelSettings),
        data=_section(path, "data", tables, DataSettings),
        optimiser=_section(path, "optimiser", tables, OptimiserSettings),
        run=_section(path, "run", tables, RunSettings),
    )


def _section(path: Path, name: str, tables: Mapping[str, Any], kind: type[Section]) -> Section:
    table = tables.get(name, {})
    _refuse_unknown(path, f"{name}.", table, kind)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], kind: type[Any]) -> None:
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            raise InputError(f"{path} has an unknown key {where}{key}.", remedy=f"Known keys: {', '.join(known)}.")
