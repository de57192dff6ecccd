"""The folder of a run belongs to one recipe: it is claimed when all has been checked, and refused to any other."""

import logging
from pathlib import Path

from pydantic import ValidationError

from rl.recipes import RecipePart
from tools.errors import InputError

log = logging.getLogger("segscout.runs")

RECIPE = "recipe.json"
_REMEDY = "Name another folder with --out, or remove what is there."


def check_folder(recipe: RecipePart, folder: Path) -> None:
    """Raise InputError if a folder holds a run of another recipe, or a policy that does not say of which.

    What recipes say is compared, not how they spell it.
    """
    file = folder / RECIPE
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is no folder.", remedy=_REMEDY)
    if not file.is_file():
        if (folder / "policy").exists():
            raise InputError(f"{folder} holds a policy, but not the recipe that it was made by.", remedy=_REMEDY)
        return
    changed = _changed(recipe, file.read_text(encoding="utf-8"))
    if changed:
        raise InputError(
            f"{folder} holds a run of another recipe, or of this one before it was changed ({', '.join(changed)}).",
            remedy=_REMEDY,
        )


def claim_folder(recipe: RecipePart, folder: Path) -> None:
    """Write the recipe into its folder, whole or not at all, if it is not there; the main process alone calls it.

    Raises InputError like `check_folder`.
    """
    check_folder(recipe, folder)
    file = folder / RECIPE
    if file.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def tell_finished(name: str, folder: Path) -> None:
    """Say that a run is not done again."""
    log.warning("%s has finished in %s already; nothing is done. Name another folder with --out.", name, folder)


def _changed(recipe: RecipePart, written: str) -> list[str]:
    """Return the fields in which a recipe differs from the one that was written down; fields not known then are new.

    What it says to people decides nothing.
    """
    try:
        then = type(recipe).model_validate_json(written).model_dump(mode="json")
    except ValidationError as error:
        return sorted({str(problem["loc"][0]) if problem["loc"] else "all of it" for problem in error.errors()})
    told = {"reproduces", "needs"}
    now = recipe.model_dump(mode="json", exclude=told)
    return [field for field, value in now.items() if value != then[field]]
