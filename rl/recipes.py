"""Find and read recipes, by name or as files; they are TOML and state what they reproduce and what they need."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from tools.errors import InputError, boundary


class RecipePart(BaseModel):
    """A part of a recipe: frozen, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_Recipe = TypeVar("_Recipe", bound=BaseModel)


def find_recipe(where: str | Path, folder: Path) -> Path:
    """Return the file of a recipe: a .toml file, or a name in `folder`; InputError lists the recipes there are."""
    path = Path(where) if str(where).endswith(".toml") else folder / f"{where}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise InputError(f"there is no recipe {str(where)!r}.", remedy=f"Give a .toml file, or one of: {known}.")
    return path


def read_toml(path: Path) -> dict[str, Any]:
    """Read a recipe's file; InputError if it is no TOML."""
    with boundary(InputError, f"cannot read {path}", remedy="Write it as TOML."):
        return tomllib.loads(path.read_text(encoding="utf-8"))


def read_recipe(path: Path, kind: type[_Recipe]) -> _Recipe:
    """Read a recipe of one kind; InputError names the field that is wrong."""
    raw = read_toml(path)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {field}: {first['msg']}.", remedy="Compare with the recipes beside it.") from error
