"""Every recipe that ships can be read, and names only what there is."""

from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra train")

from peft import LoraConfig
from trl import SFTConfig

from graphs.profiles import get_profile
from rl.grpo.config import make_config
from rl.grpo.recipe import load_recipe
from rl.recipes import find_recipe, read_recipe, read_toml
from rl.rewards import REWARDS
from rl.sft.imitation import ImitationRecipe
from rl.sft.recipe import load_recipe as load_sft_recipe
from rl.tasks import NAMES
from tools.errors import InputError

RL = Path(__file__).parents[2] / "rl"
GRPO = sorted(file.stem for file in (RL / "grpo" / "recipes").glob("*.toml"))
SFT = sorted(file.stem for file in (RL / "sft" / "recipes").glob("*.toml"))
PUBLISHED_BATCH = {  # episodes between two samplings, with four training processes
    "seg-research-4b": 128, "seg-research-4b-dapo": 128, "seg-zero-7b": 128, "vision-reasoner-7b": 128,
    "seg-r1-3b-two-stage": 96,
}  # fmt: skip


def test_all_that_were_promised_are_there():
    assert {"embedded-grpo", *PUBLISHED_BATCH} <= set(GRPO)
    assert {"embedded-sft", "seg-r1-fcot-sft"} <= set(SFT)


@pytest.mark.parametrize("name", GRPO)
def test_a_grpo_recipe_names_only_what_there_is(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.reproduces
    assert recipe.needs
    for stage in recipe.staged():
        get_profile(stage.profile)
        assert stage.reward in REWARDS
        assert {stage.tasks.source, *(part.source for part in stage.tasks.also)} <= set(NAMES)
        config = make_config(stage.model_copy(update={"dtype": "float32"}), tmp_path, "cpu")
        if name in PUBLISHED_BATCH:
            assert config.generation_batch_size * 4 == PUBLISHED_BATCH[name]
        if stage.lora is not None:
            LoraConfig(**stage.lora)


@pytest.mark.parametrize("name", SFT)
def test_an_sft_recipe_is_of_one_kind(name, tmp_path):
    file = find_recipe(name, RL / "sft" / "recipes")
    if "stages" in read_toml(file):
        recipe = load_sft_recipe(name)
        assert recipe.stages
    else:
        recipe = read_recipe(file, ImitationRecipe)
        SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **recipe.trl)
        assert (recipe.records is None) != (recipe.demonstrations is None)
    assert recipe.name == name


@pytest.mark.parametrize(
    ("name", "lengths"),
    [("seg-zero-7b", [1300]), ("vision-reasoner-7b", [2000]), ("seg-r1-3b-two-stage", [256, 400])],
)
def test_systems_of_a_single_reply_have_one_of_the_published_length(name, lengths):
    budgets = [stage.budget.over(get_profile(stage.profile).budget) for stage in load_recipe(name).staged()]
    assert [(budget.turn_tokens, budget.tokens) for budget in budgets] == [(length, length) for length in lengths]
    assert {budget.repairs for budget in budgets} == {0}


@pytest.mark.parametrize("name", ["seg-research-4b", "seg-research-4b-dapo"])
def test_seg_research_has_six_calls_and_a_last_turn(name):
    recipe = load_recipe(name)
    budget = recipe.budget.over(get_profile(recipe.profile).budget)
    assert (budget.turns, budget.repairs, budget.turn_tokens, budget.tokens) == (7, 0, 4096, 8192)


def test_a_stage_changes_only_what_it_says():
    recipe = load_recipe("seg-r1-3b-two-stage")
    first, second = recipe.staged()
    assert (first.tasks.source, second.tasks.source) == ("dis5k", "cod10k")
    assert first.trl["max_steps"] == 125
    assert second.trl["max_steps"] == 337
    assert second.trl["beta"] == first.trl["beta"] == 0.04
    assert second.reward == recipe.reward


def test_a_recipe_that_is_wrong_is_told_where(tmp_path):
    with pytest.raises(InputError, match=r"no recipe 'nothing'"):
        load_recipe("nothing")
    text = (RL / "grpo" / "recipes" / "embedded-grpo.toml").read_text()
    (tmp_path / "a.toml").write_text(text.replace('source = "emblems"', "source = 3"))
    with pytest.raises(InputError, match=r"tasks\.source"):
        load_recipe(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_text(text.replace('segmenter = "sam2"', 'segmenter = "scissors"'))
    with pytest.raises(InputError, match=r"segmenter.*no segmenter 'scissors', only sam2, grabcut"):
        load_recipe(str(tmp_path / "a.toml"))
    (tmp_path / "b.toml").write_text("= 3")
    with pytest.raises(InputError, match="cannot read"):
        load_recipe(str(tmp_path / "b.toml"))
