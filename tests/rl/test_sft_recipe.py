"""Recipes of the embedded policy's own training: a slip is named before anything is written."""

from pathlib import Path

import pytest

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from rl.sft.recipe import load_recipe
from rl.sft.train import main
from tools.errors import InputError, PolicyError

SHORT = """
name = "short"
reproduces = "nothing"
needs = "a CPU"
seed = 3
vocabulary = 2560
sigma = 3.0
workers = 1
matrix_optimizer = "adamw"
weight_decay = 0.0
log_every = 1
save_minutes = 10.0

[[stages]]
name = "only"
data = "trajectories"
steps = 1
minutes = 10.0
learning_rate = 1e-4
warmup = 1
rows = 2
length = 960
trained = 208
slots = { 448 = 2, 224 = 8, 128 = 4 }
mix = { one-hop = 1.0 }
careless = { needless = 0.5 }
"""


def short(folder: Path, *changes: tuple[str, str]) -> str:
    """Write the shortest recipe, changed, and return its file."""
    text = SHORT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "short.toml").write_text(text)
    return str(folder / "short.toml")


def test_a_recipe_says_what_its_file_says(tmp_path: Path) -> None:
    recipe = load_recipe(short(tmp_path))
    (stage,) = recipe.stages
    assert stage.slots == {448: 2, 224: 8, 128: 4}
    assert (stage.careless.needless, stage.careless.bold, stage.chatter.share) == (0.5, 0.0, 0.0)
    assert (recipe.size.layers, recipe.policy, recipe.cpu_bfloat16) == (7, "", False)
    sized = load_recipe(short(tmp_path, ("[[stages]]", "size = { layers = 2, deepstack = [0, 1] }\n[[stages]]")))
    assert (sized.size.layers, sized.size.deepstack) == (2, (0, 1))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("sigma", "sigmo", r"sigma: Field required"),
        ("slots", "slot", r"stages\.0\.slots: Field required"),
        ("mix =", "jittre = 1\nmix =", r"stages\.0\.jittre"),
        ("needless", "needles", r"stages\.0\.careless\.needles"),
        ('"adamw"', '"moun"', r"matrix_optimizer: Input should be 'muon' or 'adamw'"),
        ('"trajectories"', '"trajectory"', r"stages\.0\.data: Input should be 'perception' or 'trajectories'"),
        ("one-hop", "one-hops", r"stages\.0\.mix\.one-hops"),
        ("mix =", 'freeze = "visual"\nmix =', r"stages\.0\.freeze"),
        ("steps = 1", "steps = 0", r"stages\.0\.steps"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        main(short(tmp_path, (old, new)), tmp_path / "out", "cpu")
    assert not (tmp_path / "out").exists()


def test_a_start_that_is_not_there_is_told_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="nowhere holds no policy"):
        main(short(tmp_path), tmp_path / "out", "cpu", tmp_path / "nowhere")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here")
def test_a_start_of_other_sizes_is_told_before_anything_is_written(tmp_path: Path, tiny_policy: Path) -> None:
    with pytest.raises(PolicyError, match="has other sizes than short"):
        main(short(tmp_path), tmp_path / "out", "cpu", tiny_policy)
    assert not (tmp_path / "out").exists()
