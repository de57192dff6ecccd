"""A folder belongs to one recipe: claimed once, whole, and refused to any other."""

import json
from pathlib import Path

import pytest

from rl.recipes import RecipePart
from rl.run_folder import check_folder, claim_folder
from tools.errors import InputError


class Small(RecipePart):
    name: str = "small"
    steps: int = 3
    rate: float = 1.0


def test_a_claim_is_written_once_and_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "out"
    claim_folder(Small(), out)
    assert [path.name for path in out.iterdir()] == ["recipe.json"]
    assert json.loads((out / "recipe.json").read_text()) == {"name": "small", "steps": 3, "rate": 1.0}
    (out / "recipe.json").write_text('{"rate": 1,\n "name": "small", "steps": 3}')
    claim_folder(Small(), out)
    assert (out / "recipe.json").read_text().startswith('{"rate": 1,\n')


def test_a_recipe_from_before_a_field_was_known_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"name": "small"}')
    check_folder(Small(), tmp_path)
    with pytest.raises(InputError, match=r"another recipe.*\(steps, rate\)"):
        check_folder(Small(steps=4, rate=2.0), tmp_path)


@pytest.mark.parametrize(
    ("written", "named"), [('{"name": "small", "layers": 2}', "layers"), ('{"name": "sm', "all of it")]
)
def test_what_is_no_such_recipe_is_another(tmp_path: Path, written: str, named: str) -> None:
    (tmp_path / "recipe.json").write_text(written)
    with pytest.raises(InputError, match=rf"another recipe.*\({named}\)"):
        claim_folder(Small(), tmp_path)
    assert (tmp_path / "recipe.json").read_text() == written


def test_a_policy_of_nobody_knows_what_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "policy").mkdir()
    with pytest.raises(InputError, match="not the recipe that it was made by"):
        claim_folder(Small(), tmp_path)
    assert not (tmp_path / "recipe.json").exists()
