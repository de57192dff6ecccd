"""Whole runs by recipe, small enough for a CPU: resumed, in stages, with an adapter; `test_grpo` has two processes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from rollout_stubs import roll_out

pytest.importorskip("trl", reason="needs the extra train")

from graphs.policies.base import Sampling
from rl.grpo.config import check_groups, make_config
from rl.grpo.recipe import GRPORecipe
from rl.grpo.train import run
from rl.records import RecordWriter
from rl.records.encode import Origin, to_record
from rl.rewards.base import Play
from rl.weights import merge_adapter
from tools.errors import InputError, PolicyError

pytestmark = pytest.mark.slow


def recipe(policy: Path, **changes: Any) -> GRPORecipe:
    """Two groups of two a step, a random policy, turns of a few tokens."""
    trl = {
        "num_generations": 2, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "max_steps": 4,
        "learning_rate": 1e-3, "lr_scheduler_type": "constant", "optim": "sgd", "beta": 0.0, "temperature": 1.0,
        "gradient_checkpointing": False,
    }  # fmt: skip
    values: dict[str, Any] = {
        "name": "tiny", "reproduces": "nothing", "needs": "a CPU", "policy": str(policy), "profile": "embedded",
        "reward": "segscout", "seed": 3, "tasks": {"source": "emblems", "seed": 5, "n": 50},
        "budget": {"turns": 2, "turn_tokens": 24, "repairs": 0}, "trl": trl,
    }  # fmt: skip
    return GRPORecipe.model_validate({**values, **changes, "trl": {**trl, **changes.get("trl", {})}})


class Length:
    """Longer words pay: even a random policy's episodes then differ in worth."""

    name = "length"
    source = "this test"
    weights: Mapping[str, float] = {"length": 1.0}

    def components(self, play: Play) -> dict[str, float]:
        return {"length": sum(len(turn.text) for turn in play.turns if turn.role == "policy") % 97 / 97}


@pytest.fixture
def by_length(monkeypatch):
    monkeypatch.setattr("rl.grpo.train.get_reward", lambda name: Length())


class Digits:
    """The share of what was said that is spelt in four digits: anybody can learn it within a few steps."""

    name = "digits"
    source = "this test"
    weights: Mapping[str, float] = {"digits": 1.0}

    def components(self, play: Play) -> dict[str, float]:
        said = "".join(turn.text for turn in play.turns if turn.role == "policy")
        return {"digits": sum(letter in "0123" for letter in said) / max(1, len(said))}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from transformers import Qwen3VLForConditionalGeneration

    return dict(Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).state_dict())


def apart(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def steps(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "reward" in line]


def test_a_run_that_was_cut_off_ends_where_a_whole_one_does(tiny_policy, tmp_path, monkeypatch, by_length):
    from rl.grpo.trainer import GraphGRPOTrainer

    tasks = {"source": "emblems", "seed": 5, "n": 3}  # fewer than a run plays: it must not begin with the first again
    run(recipe(tiny_policy, tasks=tasks), tmp_path / "whole", device="cpu")
    rolled = GraphGRPOTrainer._roll_out
    calls = []

    def fails(self: Any, tasks: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return rolled(self, tasks)

    monkeypatch.setattr(GraphGRPOTrainer, "_roll_out", fails)
    with pytest.raises(KeyboardInterrupt):
        run(recipe(tiny_policy, tasks=tasks, save_every=2), tmp_path / "cut", device="cpu")
    assert [line["step"] for line in steps(tmp_path / "cut")] == [1, 2, 3]  # the last checkpoint is of step 2
    monkeypatch.setattr(GraphGRPOTrainer, "_roll_out", rolled)
    with (tmp_path / "cut" / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "min')  # what a killed process leaves of a line
    run(recipe(tiny_policy, tasks=tasks, save_every=2), tmp_path / "cut", device="cpu")
    assert [line["step"] for line in steps(tmp_path / "cut")] == [1, 2, 3, 4]
    whole, cut = steps(tmp_path / "whole"), steps(tmp_path / "cut")
    assert [line["reward"] for line in whole] == pytest.approx([line["reward"] for line in cut])
    assert all(line["grad_norm"] > 0 for line in whole)
    assert apart(tmp_path / "whole" / "policy", tmp_path / "cut" / "policy") < 1e-5


def test_stages_follow_one_another_and_are_not_done_twice(tiny_policy, tmp_path):
    staged = recipe(
        tiny_policy,
        trl={"max_steps": 1},
        stages=[
            {"name": "first", "reward": "seg-research"},
            {"name": "second", "trl": {"learning_rate": 0.0}, "budget": {"turn_tokens": 16, "turns": 1}},
        ],
        search=True,
    )
    run(staged, tmp_path, device="cpu")
    first, second = tmp_path / "first", tmp_path / "second"
    assert "components/point_l1_score" in steps(first)[0]
    assert "components/wasted_searches" in steps(second)[0]
    assert steps(second)[0]["learning_rate"] == 0
    assert apart(first / "policy", second / "policy") == 0
    # The recipe allows two turns of 24 tokens and the second stage one of 16; the profile would allow 10 of 320.
    assert 16 < steps(first)[0]["episodes/policy_tokens"] <= 48
    assert steps(first)[0]["episodes/turns"] <= 2
    assert steps(second)[0]["episodes/policy_tokens"] <= 16
    assert steps(second)[0]["episodes/turns"] == 1
    before = (second / "log.jsonl").read_text()
    run(staged, tmp_path, device="cpu")
    assert (second / "log.jsonl").read_text() == before


def test_an_adapter_is_trained_alone_and_merged(tiny_policy, tmp_path, by_length):
    lora = {"r": 4, "lora_alpha": 8, "target_modules": r".*language_model.*\.(q_proj|v_proj)"}
    run(recipe(tiny_policy, lora=lora, trl={"max_steps": 2}), tmp_path, device="cpu")
    first, second = weights(tiny_policy), weights(tmp_path / "policy")
    moved = {name for name in first if not torch.equal(first[name].bfloat16(), second[name].bfloat16())}
    assert moved
    assert all(name.endswith(("q_proj.weight", "v_proj.weight")) for name in moved)
    assert steps(tmp_path)[1]["parity/max"] < 1e-4


def test_what_pays_is_learnt(tiny_policy, tmp_path, monkeypatch):
    monkeypatch.setattr("rl.grpo.train.get_reward", lambda name: Digits())
    settings = {
        "num_generations": 8, "per_device_train_batch_size": 16, "max_steps": 8, "learning_rate": 3e-3,
        "optim": "adamw_torch", "scale_rewards": "batch",
    }  # fmt: skip
    budget = {"turns": 1, "turn_tokens": 16, "repairs": 0}
    run(recipe(tiny_policy, trl=settings, budget=budget, search=False), tmp_path, device="cpu")
    rewards = [line["reward"] for line in steps(tmp_path)]
    assert rewards[0] < 0.4
    assert rewards[-1] > rewards[0] + 0.3


def test_a_run_from_records_needs_no_episodes(tiny_policy, tmp_path):
    rollouts = roll_out(tiny_policy, 4)
    writer = RecordWriter(tmp_path / "records", image_pad=rollouts[0].image_pad)
    for number, rollout in enumerate(rollouts):
        record = to_record(rollout, Origin("tiny", "seg_research", Sampling(temperature=1.0)), sample_index=number % 2)
        record["group_id"], record["reward"] = f"group {number // 2}", float(number % 2)
        writer.write(record, rollout.result.images)
    writer.close()
    run(recipe(tiny_policy, records=tmp_path / "records", trl={"max_steps": 2}), tmp_path / "out", device="cpu")
    logged = steps(tmp_path / "out")
    assert [line["reward"] for line in logged] == [0.5, 0.5]
    assert all(line["grad_norm"] > 0 for line in logged)
    assert "seconds/rollouts" in logged[0]


def test_groups_that_processes_share_cannot_be_drawn_anew():
    config = SimpleNamespace(per_device_train_batch_size=2, steps_per_generation=2, num_generations=8)
    plain, anew, offline = recipe(Path()), recipe(Path(), refills=1), recipe(Path(), records=Path("x"))
    check_groups(plain, config)
    for shared in (anew, offline):
        with pytest.raises(InputError, match="no whole groups"):
            check_groups(shared, config)
    config.steps_per_generation = 8
    check_groups(anew, config)


def test_a_run_without_checkpoints_begins_anew_with_a_new_log(tiny_policy, tmp_path):
    short = recipe(tiny_policy, trl={"max_steps": 1})
    run(short, tmp_path, device="cpu")
    shutil.rmtree(tmp_path / "policy")
    (tmp_path / "log.jsonl").write_text('{"step": 7, "minutes": 50.0, "reward": 0.0}\n')
    run(short, tmp_path, device="cpu")
    assert [line["step"] for line in steps(tmp_path)] == [1]
    assert steps(tmp_path)[0]["minutes"] < 10


def test_another_recipe_does_not_use_the_folder(tiny_policy, tmp_path):
    # What came to nothing has not claimed it.
    with pytest.raises(InputError, match="nothings"):
        run(recipe(tiny_policy, trl={"nothings": 1}), tmp_path, device="cpu")
    with pytest.raises(PolicyError, match="there is no policy"):
        run(recipe(tmp_path / "absent", trl={"max_steps": 1}), tmp_path, device="cpu")
    with pytest.raises(InputError, match="no training tasks named"):
        run(recipe(tiny_policy, tasks={"source": "nothing"}), tmp_path, device="cpu")
    assert not (tmp_path / "recipe.json").exists()
    run(recipe(tiny_policy, trl={"max_steps": 1}), tmp_path, device="cpu")
    written = (tmp_path / "recipe.json").read_text()
    (tmp_path / "recipe.json").write_text(json.dumps(json.loads(written), sort_keys=True))  # says the same
    run(recipe(tiny_policy, trl={"max_steps": 1}), tmp_path, device="cpu")
    with pytest.raises(InputError, match="another recipe"):
        run(recipe(tiny_policy, trl={"max_steps": 2}), tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trl": {"nothing": 1}}, "does not fit TRL"),
        ({"trl": {"output_dir": "x"}}, "would not be heard"),
        ({"trl": {"top_p": 0.9}}, "would not be heard"),
        ({"trl": {"repetition_penalty": 1.1}}, "would not be heard"),
        ({"trl": {"max_completion_length": 400}}, "would not be heard.*turn_tokens"),
        ({"trl": {"mask_truncated_completions": True}}, r"would mask most.*\[overlong\]"),
        ({"trl": {"num_generations": 3}}, "does not fit TRL"),
        ({"save_every": 1, "trl": {"steps_per_generation": 2}}, "in two"),
    ],
)
def test_what_a_recipe_asks_of_trl_is_checked_first(changes, told, tmp_path):
    with pytest.raises(InputError, match=told):
        make_config(recipe(Path(), **changes), tmp_path, "cpu")


def test_dr_grpo_hears_the_length_that_it_divides_by(tmp_path):
    config = make_config(recipe(Path(), trl={"loss_type": "dr_grpo", "max_completion_length": 400}), tmp_path, "cpu")
    assert config.max_completion_length == 400


def test_limits_that_an_episode_has_not_are_refused():
    with pytest.raises(ValidationError, match=r"budget\.turn_token\n"):
        recipe(Path(), budget={"turn_token": 400})


def test_training_and_held_out_episodes_share_a_segmenter(tiny_policy, tmp_path, monkeypatch):
    loaded = []

    def load(*args: Any, **kwargs: Any) -> SimpleNamespace:
        loaded.append(args)
        return SimpleNamespace(name="one")

    monkeypatch.setattr("rl.grpo.train.load_segmenter", load)
    monkeypatch.setattr("rl.grpo.trainer.GraphGRPOTrainer.train", lambda self, **_: None)
    run(recipe(tiny_policy, held_out={"n": 1}), tmp_path, device="cpu")
    assert len(loaded) == 1


def test_merging_leaves_the_base_as_it_was():
    torch.manual_seed(0)
    base = torch.randn(8, 8, dtype=torch.bfloat16)
    whole = {
        "base_model.model.x.q_proj.base_layer.weight": base.clone(),
        "base_model.model.x.q_proj.lora_A.default.weight": torch.randn(2, 8),
        "base_model.model.x.q_proj.lora_B.default.weight": torch.randn(8, 2),
        "base_model.model.x.norm.weight": torch.ones(8),
    }
    scaling = {"base_model.model.x.q_proj": 0.5}
    for _ in range(3):
        merged = merge_adapter(whole, scaling)
    assert set(merged) == {"x.q_proj.weight", "x.norm.weight"}
    assert torch.equal(whole["base_model.model.x.q_proj.base_layer.weight"], base)
    low, high = (whole[f"base_model.model.x.q_proj.lora_{side}.default.weight"] for side in "AB")
    assert torch.equal(merged["x.q_proj.weight"], (base.float() + 0.5 * high @ low).bfloat16())
