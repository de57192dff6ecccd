"""GRPO on the graph's episodes: exact tokens, exact pictures, and the same step from memory, disk and two processes."""

import json
import os
import socket
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rollout_stubs import compact, roll_out, runner

pytest.importorskip("trl", reason="needs the extra train")

from grpo_two_processes import GROUP, train_once
from test_grpo_run import recipe, steps
from tiny_policy import read_weights
from token_server import token_server

from graphs.dialects.seg_research import answer_turn
from graphs.policies.base import Sampling
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from rl.grpo import trainer
from rl.records import RecordError, RecordWriter
from rl.records.decode import RecordedRows, to_row
from rl.records.encode import Origin, to_record
from rl.records.files import media_path
from rl.rows import TrainingRow
from rl.stream import StreamError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(tiny_policy, tmp_path_factory) -> Path:
    """Two groups of four different episodes with different rewards, on disk."""
    folder = tmp_path_factory.mktemp("records")
    rollouts = roll_out(tiny_policy, 2 * GROUP)
    origin = Origin("tiny", "seg_research", Sampling(temperature=1.0))
    writer = RecordWriter(folder, image_pad=rollouts[0].image_pad)
    for number, rollout in enumerate(rollouts):
        record = to_record(rollout, origin, sample_index=number % GROUP)
        record["group_id"], record["reward"] = f"group {number // GROUP}", (number * 7 % 5) / 5
        writer.write(record, rollout.result.images)
    writer.close()
    compact(folder)
    return folder


class InMemory:
    """The same rows without a disk in between."""

    def __init__(self, folder: Path, tiny_policy: Path) -> None:
        rollouts = roll_out(tiny_policy, 2 * GROUP)
        rows = [replace(rollout.row(), reward=(i * 7 % 5) / 5) for i, rollout in enumerate(rollouts)]
        self.groups = [rows[:GROUP], rows[GROUP:]]
        self.given = [0, 0]

    def __len__(self) -> int:
        return len(self.groups)

    def run(self, wanted):
        rows: list[TrainingRow | None] = []
        for task, _ in wanted:
            rows.append(self.groups[task][self.given[task] % GROUP])
            self.given[task] += 1
        return rows


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def offline(recorded, tiny_policy, tmp_path_factory):
    out = tmp_path_factory.mktemp("offline")
    return train_once(tiny_policy, RecordedRows.open(recorded, group=GROUP), out, per_device=8)


def test_the_sampler_and_the_trainer_agree(offline):
    """Episodes of several turns and 4 to 6 pictures: every log-probability within 1e-4."""
    _, logged = offline
    assert logged["parity/max"] < 1e-4
    assert logged["episodes/turns"] > 2


def test_a_step_moves_the_policy(offline, tiny_policy):
    from transformers import Qwen3VLForConditionalGeneration

    before = Qwen3VLForConditionalGeneration.from_pretrained(tiny_policy, dtype=torch.float32).state_dict()
    assert apart(offline[0], before) > 1e-5


def test_offline_from_disk_equals_online(offline, recorded, tiny_policy, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_COMPARED", 3)  # so that rows, and their pictures, are left out between others
    online, logged = train_once(tiny_policy, InMemory(recorded, tiny_policy), tmp_path, per_device=8)
    assert apart(online, offline[0]) < 1e-6
    assert logged["parity/max"] < 1e-4


def test_where_some_rows_are_compared_the_last_is_among_them(recorded, tiny_policy, tmp_path, monkeypatch):
    rows = InMemory(recorded, tiny_policy)
    last = rows.groups[1][-1]
    rows.groups[1][-1] = replace(last, stream=replace(last.stream, logprobs=[x - 0.01 for x in last.stream.logprobs]))
    monkeypatch.setattr(trainer, "_COMPARED", 3)
    with pytest.raises(StreamError, match="sampler and trainer disagree"):
        train_once(tiny_policy, rows, tmp_path, per_device=8)


@pytest.fixture(scope="module")
def of_two(recorded, tiny_policy, tmp_path_factory) -> Path:
    """What two processes have done by the accelerate file: the same step from records, and a recipe."""
    out = tmp_path_factory.mktemp("two")
    held_out = {"split": "val", "seed": 1, "n": 3, "every": 1}
    (out / "recipe.json").write_text(recipe(tiny_policy, held_out=held_out, trl={"max_steps": 1}).model_dump_json())
    launch("two_cpu.yaml", tiny_policy, recorded, out)
    return out


def launch(configuration: str, policy: Path, records: Path, out: Path, *options: str) -> None:
    """Run `grpo_two_processes.py` by one of our accelerate files."""
    here = Path(__file__).parent
    root = here.parents[1]
    ran = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--main_process_port", str(free_port()),
         "--config_file", str(root / "rl/accelerate" / configuration), *options,
         str(here / "grpo_two_processes.py"), str(policy), str(records), str(out)],
        cwd=root, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-9000:]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_two_processes_agree_with_one(offline, of_two):
    both = torch.load(of_two / "weights.pt", weights_only=True)
    assert apart(both, offline[0]) < 1e-5


HAS_WEIGHTS = pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here")


@pytest.fixture(scope="module")
def sharded(recorded, tiny_policy, tmp_path_factory) -> Path:
    """What two processes have done with the model sharded over them: the same step, and a recipe beside a server."""
    out = tmp_path_factory.mktemp("sharded")
    with token_server() as server:
        server.says = [answer_turn(f"The one at {x}.", (0.1, 0.1, x, 0.4), (0.2, 0.2)) for x in (0.3, 0.5, 0.7, 0.9)]
        served = recipe(EMBEDDED_FOLDER, sampler={"urls": [server.url]}, parity_alarm=100.0, trl={"max_steps": 2})
        (out / "recipe.json").write_text(served.model_dump_json())
        launch("fsdp2.yaml", tiny_policy, recorded, out, "--num_processes", "2", "--mixed_precision", "no")
        reloads = [asked["kwargs"]["weights_path"] for path, asked in server.calls if path == "/collective_rpc"]
    assert reloads == [str(out / "recipe" / "served")] * 2
    return out


@HAS_WEIGHTS
def test_a_model_sharded_over_two_processes_takes_the_step_of_one(offline, sharded):
    both = torch.load(sharded / "weights.pt", weights_only=True)
    assert apart(offline[0], both) < 1e-5
    assert apart(read_weights(sharded / "policy"), both) == 0


@HAS_WEIGHTS
def test_a_sharded_model_learns_from_what_a_server_samples(sharded):
    assert len(steps(sharded / "recipe")) == 2
    served, begun = read_weights(sharded / "recipe" / "served"), read_weights(EMBEDDED_FOLDER)
    assert served.keys() == begun.keys()  # whole, after the first step
    assert {name: weight.shape for name, weight in served.items()} == {name: w.shape for name, w in begun.items()}
    assert apart(begun, served) > 0


def test_two_processes_run_a_recipe_by_the_accelerate_file(of_two):
    lines = [json.loads(line) for line in (of_two / "recipe" / "log.jsonl").read_text().splitlines()]
    assert [line["held_out/n"] for line in lines if "held_out/n" in line] == [3.0, 3.0]
    assert {line["processes"] for line in lines} == {2}
    assert len(steps(of_two / "recipe")) == 1
    assert (of_two / "recipe" / "policy" / "config.json").is_file()
    claimed, asked = ((folder / "recipe.json").read_text() for folder in (of_two / "recipe", of_two))
    assert json.loads(claimed) == json.loads(asked)


@pytest.mark.parametrize("loss", ["dr_grpo", "grpo", "bnpo"])
def test_other_losses_and_gspo_run(recorded, tiny_policy, tmp_path, loss):
    rows = RecordedRows.open(recorded, group=GROUP)
    level = "sequence" if loss == "grpo" else "token"
    _, logged = train_once(tiny_policy, rows, tmp_path, per_device=8, loss_type=loss, importance_sampling_level=level)
    assert logged["grad_norm"] > 0


def test_a_row_whose_pictures_and_tokens_disagree_is_refused(recorded, tiny_policy, tmp_path):
    rows = RecordedRows.open(recorded, group=GROUP)
    first = rows._groups[0][0]
    at = first.stream.ids.index(rows._groups[0][0].stream.ids[-1])
    ids = list(first.stream.ids)
    pad = max(set(ids), key=ids.count)
    ids[ids.index(pad)] = ids[at]
    rows._groups[0][0] = replace(first, stream=replace(first.stream, ids=tuple(ids)))
    with pytest.raises(StreamError, match="image tokens"):
        train_once(tiny_policy, rows, tmp_path, per_device=8)


def test_a_sampler_with_other_weights_raises_the_alarm(recorded, tiny_policy, tmp_path):
    rows = RecordedRows.open(recorded, group=GROUP)
    for group in rows._groups:
        for number, row in enumerate(group):
            moved = tuple(score - 0.1 if spoke else 0.0 for score, spoke in
                          zip(row.stream.logprobs, row.stream.mask, strict=True))  # fmt: skip
            group[number] = replace(row, stream=replace(row.stream, logprobs=moved))
    with pytest.raises(StreamError, match=r"disagree by 0\.1"):
        train_once(tiny_policy, rows, tmp_path, per_device=8)


def test_groups_that_were_sampled_otherwise_than_training_scores_them_are_refused(recorded, tiny_policy, tmp_path):
    rows = RecordedRows.open(recorded, group=GROUP)
    rows.check_sampling(Sampling(temperature=1.0))
    with pytest.raises(RecordError, match=r"temperature 1 and top-p 1, but .* to 0\.7 and 1"):
        train_once(tiny_policy, rows, tmp_path, per_device=8, temperature=0.7)
    with pytest.raises(RecordError, match=r"set to 1 and 0\.9"):
        train_once(tiny_policy, rows, tmp_path, per_device=8, top_p=0.9)


class Breaking(RecordedRows):
    """Of each call so many episodes of the second task stay broken, or, with `anew`, of a group that is drawn anew."""

    broken, anew = 0, False

    def run(self, wanted):
        again = len(wanted) <= self.broken  # only those that broke are played again
        found = super().run(wanted)
        hit = [at for at, (task, _) in enumerate(wanted) if (task == 1 or self.anew)][: self.broken]
        if again or (len(wanted) == GROUP) == self.anew:
            found = [None if at in hit else row for at, row in enumerate(found)]
        return found


@pytest.fixture
def scored(monkeypatch):
    """What TRL makes of each batch."""
    from rl.grpo.trainer import GraphGRPOTrainer

    score, outputs = GraphGRPOTrainer._generate_and_score_completions, []

    def noted(self, inputs):
        outputs.append(score(self, inputs))
        return outputs[-1]

    monkeypatch.setattr(GraphGRPOTrainer, "_generate_and_score_completions", noted)
    return outputs


def test_an_episode_that_stays_broken_touches_no_group(recorded, tiny_policy, tmp_path, scored):
    rows = Breaking.open(recorded, group=GROUP)
    rows.broken = 2
    rewards = [[row.reward for row in group] for group in rows._groups]
    _, logged = train_once(tiny_policy, rows, tmp_path, per_device=8)
    assert logged["episodes/broken"] == 0.25
    (output,) = scored
    expected = sorted(
        (reward - statistics.mean(group)) / (statistics.stdev(group) + 1e-4)
        for group in (rewards[0], rewards[1][2:])
        for reward in group
    )
    learnt = (output["tool_mask"] * output["completion_mask"]).sum(1) > 0
    assert sorted(output["advantages"][learnt].tolist()) == pytest.approx(expected, abs=1e-4)
    assert output["advantages"][~learnt].tolist() == [0, 0]


@pytest.mark.parametrize("broken", [3, 4])
def test_broken_episodes_are_counted_over_the_step(recorded, tiny_policy, tmp_path, scored, broken):
    rows = Breaking.open(recorded, group=GROUP)
    rows.broken, rows.anew = broken, True
    rows._groups[0] = [replace(row, reward=0.5) for row in rows._groups[0]]  # even: it is drawn anew, in vain
    if broken == 4:  # of 12 played
        with pytest.raises(StreamError, match="keep breaking"):
            train_once(tiny_policy, rows, tmp_path, per_device=8, refills=1)
        return
    _, logged = train_once(tiny_policy, rows, tmp_path, per_device=8, refills=1)
    assert logged["episodes/broken"] == 0.25
    (output,) = scored
    assert ((output["tool_mask"] * output["completion_mask"]).sum(1) > 0).all()
    assert logged["reward"] == pytest.approx(statistics.mean([0.5] * GROUP + [row.reward for row in rows._groups[1]]))


def test_a_missing_picture_is_named(recorded, tiny_policy, tmp_path):
    from rl.records import read_records

    record = next(iter(read_records(recorded)))
    row = to_row(record, tmp_path)
    with pytest.raises(RecordError, match="missing"):
        row.picture(record["images"][0]["sha256"])
    assert media_path(recorded, record["images"][0]["sha256"]).is_file()


def test_a_random_policy_rolls_out_to_the_end_of_its_budget(tiny_policy):
    rollouts = runner(tiny_policy, oracle=False).run([(0, 1), (1, 2)])
    for rollout in rollouts:
        assert rollout is not None
        assert not rollout.success
        assert rollout.reward < 0.1
        assert sum(rollout.stream.mask) == rollout.result.usage.completion_tokens
