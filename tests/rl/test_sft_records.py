"""Supervised training on records: exactly the policy's tokens are learnt, and they are learnt."""

import json
from dataclasses import replace

import pytest
import torch
from dataset_fixtures import demonstration_row, noise, png, write_parquet
from pydantic import ValidationError
from rollout_stubs import roll_out

pytest.importorskip("trl", reason="needs the extra train")

from rl.records import RecordError
from rl.sft.imitation import Collator, ImitationRecipe, read_rows, run
from rl.stream import StreamError
from tools.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rollouts(tiny_policy):
    return roll_out(tiny_policy, 4)


def test_only_the_policys_tokens_are_learnt(rollouts, tiny_policy):
    from graphs.policies.batching import BatchingPolicy

    chatml = BatchingPolicy.load(tiny_policy, device="cpu").chatml
    rows = [rollout.row() for rollout in rollouts]
    batch = Collator(rows, chatml, 0)([{"row": 0}, {"row": 2}])
    for number, row in ((0, rows[0]), (1, rows[2])):
        learnt = batch["labels"][number] != -100
        assert learnt.sum() == sum(row.stream.mask)
        assert torch.equal(batch["labels"][number][learnt], batch["input_ids"][number][learnt])
        assert batch["attention_mask"][number].sum() == len(row.stream.ids)
    patches = sum(ref.height * ref.width // 256 for row in (rows[0], rows[2]) for ref in row.stream.images)
    assert len(batch["pixel_values"]) == patches
    assert batch["mm_token_type_ids"].sum() * 4 == patches
    broken = replace(rows[0], stream=replace(rows[0].stream, images=rows[0].stream.images[:-1]))
    with pytest.raises(StreamError, match="image tokens"):
        Collator([broken], chatml, 0)([{"row": 0}])


def write_records(rollouts, folder):
    from graphs.policies.base import Sampling
    from rl.records import RecordWriter
    from rl.records.encode import Origin, to_record

    writer = RecordWriter(folder, image_pad=rollouts[0].image_pad)
    for number, rollout in enumerate(rollouts):
        record = to_record(rollout, Origin("tiny", "seg_research", Sampling()))
        record["reward"] = number / 4
        writer.write(record, rollout.result.images)
    writer.close()
    return folder


def recipe(policy, folder, *, least_reward: float = 0.0, **changes) -> ImitationRecipe:
    values = {"name": "x", "reproduces": "x", "needs": "x", "policy": str(policy), "seed": 1, "dtype": "float32",
              "records": {"data": folder, "least_reward": least_reward}}  # fmt: skip
    return ImitationRecipe.model_validate({**values, **changes})


def test_the_loss_falls_and_the_weights_load(rollouts, tiny_policy, tmp_path):
    from graphs.policies.batching import BatchingPolicy
    from rl.scoring import logprobs_of

    rows = [rollout.row() for rollout in rollouts]
    trl = {
        "max_steps": 12, "learning_rate": 3e-3, "per_device_train_batch_size": 4, "lr_scheduler_type": "constant",
        "gradient_checkpointing": False,
    }  # fmt: skip
    history = run(recipe(tiny_policy, write_records(rollouts, tmp_path / "records"), trl=trl), tmp_path, device="cpu")
    losses = [line["loss"] for line in history if "loss" in line]
    assert losses[-1] < losses[0] / 2

    def likely(folder) -> float:
        policy = BatchingPolicy.load(folder, device="cpu")
        scores = logprobs_of(policy, rows[0])
        return sum(score for score, spoke in zip(scores, rows[0].stream.mask, strict=True) if spoke)

    assert likely(tmp_path / "policy") > likely(tiny_policy) / 2
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in logged if "loss" in line] == losses
    assert [line["step"] for line in logged if "loss" in line] == list(range(1, 13))


def test_a_finished_folder_is_left_alone_and_another_recipe_is_refused(rollouts, tiny_policy, tmp_path, caplog):
    folder = write_records(rollouts, tmp_path / "records")
    trl = {"max_steps": 1, "per_device_train_batch_size": 2, "gradient_checkpointing": False}
    chosen, out = recipe(tiny_policy, folder, trl=trl), tmp_path / "out"
    history = run(chosen, out, device="cpu")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run(chosen, out, device="cpu") == history
    assert "has finished in" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    spelt = json.loads((out / "recipe.json").read_text())
    (out / "recipe.json").write_text(json.dumps(spelt, sort_keys=True))  # says the same
    assert run(chosen, out, device="cpu") == history
    with pytest.raises(InputError, match="another recipe"):
        run(recipe(tiny_policy, folder, trl={**trl, "max_steps": 2}), out, device="cpu")
    (out / "done.json").unlink()  # as a run that was cut off leaves it
    run(chosen, out, device="cpu")
    assert len([line for line in (out / "log.jsonl").read_text().splitlines() if '"loss"' in line]) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trl": {"learning_rat": 1.0}}, r"x: \[trl\] does not fit.*learning_rat"),
        ({"trl": {"output_dir": "elsewhere"}}, r"x: \[trl\] does not fit.*output_dir"),
        ({"lora": {"rank": 8}}, r"x: \[lora\] does not fit.*rank"),
    ],
)
def test_fields_that_do_not_fit_are_named(tiny_policy, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        run(recipe(tiny_policy, tmp_path, **changes), tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "recipe.json").exists()


@pytest.mark.parametrize(
    ("lora", "held"),
    [(None, torch.float32), ({"r": 2, "target_modules": r".*language_model.*\.q_proj"}, torch.bfloat16)],
)
def test_weights_that_are_trained_are_held_in_32_bits(rollouts, tiny_policy, tmp_path, monkeypatch, lora, held):
    trained = []
    monkeypatch.setattr("rl.sft.imitation.save_trained", lambda trainer, *_: trained.append(trainer.model))
    trl = {"max_steps": 1, "per_device_train_batch_size": 2, "gradient_checkpointing": False}
    folder = write_records(rollouts[:2], tmp_path / "records")
    run(recipe(tiny_policy, folder, dtype="bfloat16", lora=lora, trl=trl), tmp_path / "out", device="cpu")
    numbers = {name: parameter.dtype for name, parameter in trained[0].named_parameters()}
    assert {dtype for name, dtype in numbers.items() if "lora_" not in name} == {held}
    assert all(numbers[name] == torch.float32 for name, p in trained[0].named_parameters() if p.requires_grad)


def test_numbers_of_another_type_are_refused(tiny_policy, tmp_path):
    with pytest.raises(ValidationError, match="dtype"):
        recipe(tiny_policy, tmp_path, dtype="float16")


def test_only_episodes_worth_it_are_imitated(rollouts, tiny_policy, tmp_path):
    from graphs.policies.batching import BatchingPolicy

    chatml = BatchingPolicy.load(tiny_policy, device="cpu").chatml
    write_records(rollouts, tmp_path)
    assert len(read_rows(recipe(tiny_policy, tmp_path, least_reward=0.5), chatml)) == 2
    with pytest.raises(RecordError, match="worth 2"):
        read_rows(recipe(tiny_policy, tmp_path, least_reward=2), chatml)
    with pytest.raises(InputError, match="imitates nothing"):
        read_rows(recipe(tiny_policy, tmp_path, records=None), chatml)


def test_a_record_that_contradicts_itself_is_not_imitated(rollouts, tiny_policy, tmp_path):
    from graphs.policies.batching import BatchingPolicy

    chatml = BatchingPolicy.load(tiny_policy, device="cpu").chatml
    lines = write_records(rollouts, tmp_path) / "episodes-000.jsonl"
    record = json.loads(lines.read_text().splitlines()[0])
    record["loss_mask"][record["prompt_len"] - 1] = 1
    lines.write_text(json.dumps(record) + "\n")
    with pytest.raises(RecordError, match=f"episode {record['episode_id']}"):
        read_rows(recipe(tiny_policy, tmp_path), chatml)


def test_demonstrations_are_rows_whose_answer_alone_is_learnt(tiny_policy, tmp_path):
    from graphs.policies.batching import BatchingPolicy
    from rl.stream import check_images

    chatml = BatchingPolicy.load(tiny_policy, device="cpu").chatml
    rows = [{**demonstration_row(i), "image": png(noise(200, 300, i))} for i in range(3)]
    write_parquet(tmp_path / "FCoT" / "train.parquet", rows)
    part = {"source": "fcot", "data": tmp_path / "FCoT", "most_pixels": 160 * 128}
    chosen = recipe(
        tiny_policy, tmp_path, records=None, demonstrations=part,
        trl={"max_steps": 2, "per_device_train_batch_size": 2, "gradient_checkpointing": False},
    )  # fmt: skip
    rows = read_rows(chosen, chatml)
    row = rows[0]
    check_images(row.stream, chatml)
    (shown,) = row.stream.images
    assert shown.width * shown.height <= 160 * 128
    assert 1.2 < shown.width / shown.height < 2
    learnt = [token for token, spoke in zip(row.stream.ids, row.stream.mask, strict=True) if spoke]
    assert learnt == [*chatml.encode_text(row.text), chatml.end_of_turn]
    assert len(run(chosen, tmp_path / "out", device="cpu")) >= 2
    assert (tmp_path / "out" / "policy" / "tokenizer.json").is_file()
