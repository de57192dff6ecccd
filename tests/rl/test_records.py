"""Records: what is written comes back, invariants are enforced, a killed run loses at most one episode."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rollout_stubs import compact, roll_out

from graphs.policies.base import Sampling
from rl.records import RecordError, RecordWriter, check_record, read_records
from rl.records.decode import RecordedRows
from rl.records.encode import Origin, to_record
from rl.records.files import load_image, media_path

ORIGIN = Origin("tiny", "seg_research", Sampling(temperature=1.0), "val", 3, "found")


@pytest.fixture(scope="module")
def rollouts(tiny_policy):
    return roll_out(tiny_policy, 5)


@pytest.fixture(scope="module")
def records(rollouts):
    return [to_record(rollout, ORIGIN) for rollout in rollouts]


def test_a_record_tells_the_whole_episode(rollouts, records):
    for rollout, record in zip(rollouts, records, strict=True):
        check_record(record, rollout.image_pad)
        kinds = [turn["kind"] for turn in record["turns"]]
        assert kinds == ["instruction", *["policy", "observation"] * (kinds.count("policy") - 1), "policy"]
        assert kinds.count("policy") == rollout.result.usage.turns
        assert record["status"] == "ok"
        assert record["success"]
        assert (record["split"], record["policy_version"]) == ("val", 3)
        assert sum(record["loss_mask"]) == rollout.result.usage.completion_tokens
        searched = [turn for turn in record["turns"] if turn["node"] == "search"]
        assert len(searched) == rollout.result.usage.searches
        assert all(turn["tool"] and turn["query"] for turn in searched)
        assert json.loads(record["rewards"]) == rollout.components
        assert json.loads(record["versions"])["torch"]


def test_the_policys_turns_decode_to_what_it_said(tiny_policy, records):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy)
    for record in records:
        for turn in record["turns"]:
            if turn["kind"] == "policy":
                ids = record["input_ids"][turn["start"] : turn["end"]]
                assert tokenizer.decode(ids).removesuffix("<|im_end|>") == turn["text"]


def write(folder: Path, rollouts, records) -> None:
    writer = RecordWriter(folder, image_pad=rollouts[0].image_pad)
    for rollout, record in zip(rollouts, records, strict=True):
        writer.write(record, rollout.result.images)
    writer.close()


def test_what_is_written_comes_back_before_and_after_compaction(tmp_path, rollouts, records):
    write(tmp_path, rollouts, records)
    assert list(read_records(tmp_path)) == records
    assert compact(tmp_path) == 5
    assert not list(tmp_path.glob("*.jsonl"))
    back = list(read_records(tmp_path))
    for one, other in zip(records, back, strict=True):
        for key in one:
            if key in ("logprobs", "temperature", "top_p", "turns"):
                continue
            assert one[key] == other[key], key
        assert np.allclose(one["logprobs"], other["logprobs"], atol=1e-6)
    assert compact(tmp_path) == 5
    write(tmp_path, rollouts[:2], records[:2])
    assert compact(tmp_path) == 5, "an episode that is there twice counts once"


def test_pictures_come_back_as_they_were(tmp_path, rollouts, records):
    write(tmp_path, rollouts, records)
    for rollout, record in zip(rollouts, records, strict=True):
        for image in record["images"]:
            loaded = load_image(tmp_path, image["sha256"])
            assert np.array_equal(loaded, rollout.result.images.get(image["sha256"]))
    media_path(tmp_path, records[0]["images"][0]["sha256"]).unlink()
    with pytest.raises(RecordError, match="missing"):
        load_image(tmp_path, records[0]["images"][0]["sha256"])


def test_records_load_with_datasets(tmp_path, rollouts, records):
    datasets = pytest.importorskip("datasets")
    write(tmp_path, rollouts, records)
    compact(tmp_path)
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "episodes.parquet"), split="train",
                                   cache_dir=str(tmp_path / "cache"))  # fmt: skip
    assert loaded[0]["input_ids"] == records[0]["input_ids"]
    assert loaded[1]["turns"][1]["text"] == records[1]["turns"][1]["text"]


@pytest.mark.parametrize(
    "other",
    [
        replace(ORIGIN, policy="another"),
        replace(ORIGIN, dialect="seg_zero"),
        replace(ORIGIN, sampling=Sampling(temperature=0.5)),
        replace(ORIGIN, reward="segscout"),
        replace(ORIGIN, split="train"),
        replace(ORIGIN, version=4),
        replace(ORIGIN, setting={"search": "False"}),
    ],
)
def test_episodes_of_other_options_are_others_in_the_same_folder(tmp_path, rollouts, records, other):
    write(tmp_path, rollouts[:2], records[:2])
    compact(tmp_path)
    others = [to_record(rollout, other) for rollout in rollouts[:2]]
    write(tmp_path, rollouts[:2], others)
    assert compact(tmp_path) == 4
    assert len({record["episode_id"] for record in read_records(tmp_path)}) == 4
    assert len({record["group_id"] for record in read_records(tmp_path)}) == 4
    assert all(ORIGIN.seed_of(record) is None for record in others)
    assert [ORIGIN.seed_of(record) for record in records] == [record["seed"] for record in records]


def test_compaction_keeps_different_episodes_that_share_an_id(tmp_path, rollouts, records):
    write(tmp_path, rollouts[:1], records[:1])
    write(tmp_path, rollouts[:1], [records[0] | {"reward": 0.25}])
    write(tmp_path, rollouts[1:2], [records[1] | {"episode_id": records[0]["episode_id"]}])
    assert compact(tmp_path) == 3


def test_a_kill_in_the_middle_of_compaction_makes_no_doubles(tmp_path, rollouts, records):
    write(tmp_path, rollouts, records)
    lines = tmp_path / "episodes-000.jsonl"
    shutil.copy(lines, tmp_path / "kept")
    compact(tmp_path)
    shutil.move(tmp_path / "kept", lines)
    assert [r["episode_id"] for r in read_records(tmp_path)] == [r["episode_id"] for r in records]
    assert compact(tmp_path) == 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.__setitem__("schema_version", 2), "line 2 has schema version 2, not 1"),
        (lambda r: r.pop("loss_mask"), "line 2 is no record: loss_mask"),
        (lambda r: r.__setitem__("reward", "high"), "line 2 is no record: reward"),
        (lambda r: r["turns"][1].pop("kind"), "line 2 is no record: turns.1.kind"),
        (lambda r: r["images"][0].pop("width"), "line 2 is no record: images.0.width"),
    ],
)
def test_files_of_another_schema_are_refused(tmp_path, records, change, said):
    other = deepcopy(records[1])
    change(other)
    (tmp_path / "episodes-000.jsonl").write_text(f"{json.dumps(records[0])}\n{json.dumps(other)}\n")
    with pytest.raises(RecordError, match=said):
        list(read_records(tmp_path))
    with pytest.raises(RecordError, match=said):
        compact(tmp_path)
    assert (tmp_path / "episodes-000.jsonl").is_file()


def test_a_parquet_file_with_other_columns_is_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"prompt": ["a"], "answer": ["b"]}), tmp_path / "episodes.parquet")
    with pytest.raises(RecordError, match=r"row 0 is no record: schema_version"):
        list(read_records(tmp_path))


def swap_pictures(record) -> None:
    """Swap two pictures of equal size; the sizes and tokens still agree."""
    one, other = _equal_pictures(record)
    one["sha256"], other["sha256"] = other["sha256"], one["sha256"]


def _equal_pictures(record):
    for i, one in enumerate(record["images"]):
        for other in record["images"][i + 1 :]:
            if (one["width"], one["height"]) == (other["width"], other["height"]) and one["sha256"] != other["sha256"]:
                return one, other
    raise AssertionError("no two pictures are alike in size")


def observe(record) -> None:
    """Pretend that the policy had said the first token of what it was shown."""
    turn = next(turn for turn in record["turns"] if turn["kind"] == "observation")
    record["loss_mask"][turn["start"]] = 1


def resample(record) -> None:
    """Pretend that the policy had said another token."""
    record["input_ids"][record["prompt_len"]] += 1


@pytest.mark.parametrize("change", [swap_pictures, observe, resample])
def test_training_refuses_a_record_that_was_tampered_with(tmp_path, rollouts, records, change):
    write(tmp_path, rollouts, records)
    assert len(RecordedRows.open(tmp_path, group=1)) == 5
    broken = deepcopy(records[0])
    change(broken)
    lines = [json.dumps(record) + "\n" for record in (*records[1:], broken)]
    (tmp_path / "episodes-000.jsonl").write_text("".join(lines))
    with pytest.raises(RecordError, match=r"episode val-3-00000.*rl check"):
        RecordedRows.open(tmp_path, group=1)


def test_a_picture_with_other_pixels_is_refused(tmp_path, rollouts, records):
    write(tmp_path, rollouts, records)
    one, other = (media_path(tmp_path, image["sha256"]) for image in _equal_pictures(records[0]))
    shutil.copy(one, other)
    assert np.array_equal(load_image(tmp_path, one.stem), rollouts[0].result.images.get(one.stem))
    with pytest.raises(RecordError, match=f"{other.name} holds other pixels"):
        load_image(tmp_path, other.stem)


BREAKS = {
    "lengths": lambda r: r["logprobs"].pop(),
    "mask where nobody spoke": lambda r: r["loss_mask"].__setitem__(0, 1),
    "mask of twos": lambda r: r["loss_mask"].__setitem__(r["prompt_len"], 2),
    "log-probability above 0": lambda r: r["logprobs"].__setitem__(r["prompt_len"], 0.5),
    "log-probability outside the mask": lambda r: r["logprobs"].__setitem__(0, -0.5),
    "an image token too few": lambda r: r["input_ids"].__setitem__(r["images"][0]["token_start"], 0),
    "an image too few": lambda r: r["images"].pop(),
    "image of another size": lambda r: r["images"][0].__setitem__("token_len", r["images"][0]["token_len"] - 1),
    "turns with a gap": lambda r: r["turns"][1].__setitem__("start", r["turns"][1]["start"] + 1),
    "a turn missing": lambda r: r["turns"].pop(),
    "wrong prompt": lambda r: r.__setitem__("prompt_len", r["prompt_len"] - 1),
    "another schema": lambda r: r.__setitem__("schema_version", 0),
    "no status": lambda r: r.__setitem__("status", "fine"),
    "no conversation": lambda r: r.__setitem__("messages", "[]["),
    "another size": lambda r: r["images"][0].__setitem__("width", 2 * r["images"][0]["width"]),
    "another text": lambda r: r["turns"][1].__setitem__("text", "something else"),
    "a log-probability of its own": lambda r: r["logprobs"].__setitem__(r["prompt_len"], -77.0),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_record_is_refused(tmp_path, name, rollouts, records):
    broken = deepcopy(records[0])
    BREAKS[name](broken)
    with pytest.raises(RecordError, match="episode val-3-00000"):
        RecordWriter(tmp_path, image_pad=rollouts[0].image_pad).write(broken, rollouts[0].result.images)
    assert list(read_records(tmp_path)) == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size] == []


def test_a_torn_last_line_is_left_out_and_a_broken_one_is_named(tmp_path, rollouts, records):
    write(tmp_path, rollouts, records)
    path = tmp_path / "episodes-000.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert len(list(read_records(tmp_path))) == 4
    RecordWriter(tmp_path, image_pad=rollouts[0].image_pad).write(records[4], rollouts[4].result.images)
    assert [r["episode_id"] for r in read_records(tmp_path)] == [r["episode_id"] for r in records]
    path.write_bytes(b"{broken\n" + whole)
    with pytest.raises(RecordError, match="line 1"):
        list(read_records(tmp_path))


def test_a_second_writer_is_refused_until_the_first_has_compacted(tmp_path, rollouts, records):
    pad = rollouts[0].image_pad
    with RecordWriter(tmp_path, image_pad=pad) as first:
        first.write(records[0], rollouts[0].result.images)
        with pytest.raises(RecordError, match="another process is writing records"):
            RecordWriter(tmp_path, image_pad=pad)
        assert first.compact() == 1
        with pytest.raises(RecordError, match="another process is writing records"):
            RecordWriter(tmp_path, image_pad=pad)
    with RecordWriter(tmp_path, image_pad=pad) as second:
        second.write(records[1], rollouts[1].result.images)
        assert second.compact() == 2


def test_another_checkpoint_under_the_same_name_makes_other_episodes(tmp_path, monkeypatch):
    from rl.commands.record import RecordOptions

    monkeypatch.chdir(tmp_path)  # what lies where one happens to stand is nobody's checkpoint
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "tokenizer.json").write_bytes(b"tokens")
    server = "tokens+http://localhost:8000"
    named = [RecordOptions(policy=str(tmp_path)), RecordOptions(policy=server, checkpoint=str(tmp_path))]
    for options in named:
        before = options.origin()
        assert options.origin() == before
        (tmp_path / "model.safetensors").write_bytes(b"Weights")
        assert (between := options.origin()) != before
        (tmp_path / "tokenizer.json").write_bytes(b"Tokens")
        assert options.origin() not in (before, between)
        (tmp_path / "model.safetensors").write_bytes(b"weights")
        (tmp_path / "tokenizer.json").write_bytes(b"tokens")
    # A hub id, or a server of whose checkpoint nothing is said, tells nothing.
    for options in (RecordOptions(policy=server, checkpoint="owner/name"), RecordOptions(policy=server)):
        assert options.origin().setting["weights"] == ""


KILLED = """
import json, sys
from pathlib import Path
from rl.records.files import RecordWriter
from tools.image_store import ImageStore
record = json.loads(Path(sys.argv[1]).read_text())
writer = RecordWriter(Path(sys.argv[2]), image_pad=int(sys.argv[3]))
number = 0
while True:
    record["episode_id"] = f"e{number}"
    writer.write(record, ImageStore())
    sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
    number += 1
"""


def test_a_killed_run_loses_at_most_one_episode(tmp_path, rollouts, records):
    record = deepcopy(records[0])
    pad = rollouts[0].image_pad
    # Without pictures, so that it writes fast and is likely to be killed in the middle of a line.
    record["input_ids"] = [0 if token == pad else token for token in record["input_ids"]]
    messages = [turn | {"parts": [p for p in turn["parts"] if "text" in p]} for turn in json.loads(record["messages"])]
    messages[0]["parts"].append({"text": "x" * 300_000})
    record["images"], record["messages"] = [], json.dumps(messages)
    (tmp_path / "record.json").write_text(json.dumps(record))
    ran = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "record.json"), str(tmp_path / "out"), str(pad)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.stdout is not None
    ran.stdout.readline()
    time.sleep(0.3)
    with pytest.raises(RecordError, match="another process is writing records"):
        RecordWriter(tmp_path / "out", image_pad=pad)
    os.kill(ran.pid, signal.SIGKILL)
    said = 1 + len(ran.stdout.read().splitlines())
    ran.wait()
    found = [r["episode_id"] for r in read_records(tmp_path / "out")]
    assert found == [f"e{number}" for number in range(len(found))]
    assert len(found) in (said, said + 1), "every episode that was reported is there"
    assert compact(tmp_path / "out") == len(found)
