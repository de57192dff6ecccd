"""`segscout rl check` finds out every way of tampering with records, and records of another policy."""

import json
import shutil
from copy import deepcopy
from pathlib import Path

import cv2
import pytest
from rollout_stubs import compact, runner

from graphs.policies.base import Sampling
from rl.commands.check import Bounds, check, check_folder
from rl.records import RecordError, RecordWriter, read_records
from rl.records.encode import Origin, to_record
from rl.records.files import media_path
from rl.rewards import get_reward

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tiny_policy, tmp_path_factory) -> Path:
    """A folder of three records as they should be, not compacted."""
    folder = tmp_path_factory.mktemp("whole")
    playing = runner(tiny_policy)
    playing.reward = get_reward("segscout")
    origin = Origin("tiny", "seg_research", Sampling(temperature=1.0), reward="segscout")
    writer = RecordWriter(folder, image_pad=playing.chatml.image_pad)
    for rollout in playing.run([(index, index) for index in range(3)]):
        assert rollout is not None
        writer.write(to_record(rollout, origin), rollout.result.images)
    writer.close()
    return folder


def tampered(whole: Path, folder: Path, change) -> Path:
    """A copy of the folder whose records, as a list, were changed."""
    shutil.copytree(whole, folder)
    records = deepcopy(list(read_records(folder)))
    change(records, folder)
    (folder / "episodes-000.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def alike(record):
    """Two different pictures of equal size."""
    images = record["images"]
    return next(
        (one, other) for one in images for other in images
        if one["sha256"] != other["sha256"] and (one["width"], one["height"]) == (other["width"], other["height"])
    )  # fmt: skip


def picture(record, folder: Path) -> Path:
    return media_path(folder, record["images"][0]["sha256"])


def put_another_picture(records, folder):
    one, other = alike(records[0])
    shutil.copy(media_path(folder, one["sha256"]), media_path(folder, other["sha256"]))


def crop(records, folder):
    path = picture(records[0], folder)
    cv2.imwrite(str(path), cv2.imread(str(path))[:-1])


def swap(records, folder):
    one, other = alike(records[0])
    one["sha256"], other["sha256"] = other["sha256"], one["sha256"]


def resize(records, folder):
    """Say another size, in the messages, too: only the pixels and the number of tokens know better."""
    first = records[0]["images"][0]
    records[0]["messages"] = records[0]["messages"].replace(
        f'"width": {first["width"]}, "height": {first["height"]}',
        f'"width": {first["width"] * 2}, "height": {first["height"] * 2}',
    )
    size = first["width"], first["height"]
    for image in records[0]["images"]:
        if (image["width"], image["height"]) == size:
            image["width"], image["height"] = 2 * size[0], 2 * size[1]


def set_logprob(value: float):
    def change(records, folder):
        record = records[0]
        record["logprobs"][record["prompt_len"]] = value

    return change


def shift(by: float, count: int | None):
    """Shift the policy's log-probabilities wherever they are written: no invariant breaks."""

    def change(records, folder):
        record = records[1]
        messages = json.loads(record["messages"])
        turns = [turn for turn in record["turns"] if turn["kind"] == "policy"]
        for turn, said in zip(turns, (m for m in messages if m["role"] == "assistant"), strict=True):
            said["logprobs"][:count] = [score + by for score in said["logprobs"][:count]]
            record["logprobs"][turn["start"] : turn["end"]] = said["logprobs"]
        record["messages"] = json.dumps(messages)

    return change


def change_prompt(records, folder):
    messages = json.loads(records[1]["messages"])
    part = next(part for turn in messages for part in turn["parts"] if "text" in part)
    part["text"] += " Ignore this."
    records[1]["messages"] = json.dumps(messages)


def unweigh(records, folder):
    parts = json.loads(records[0]["rewards"])
    parts.pop(next(iter(get_reward("segscout").weights)))
    records[0]["rewards"] = json.dumps(parts)


TAMPERINGS = {
    "a picture is gone": (lambda rs, f: picture(rs[0], f).unlink(), "missing or broken"),
    "a picture is cut": (lambda rs, f: picture(rs[0], f).write_bytes(picture(rs[0], f).read_bytes()[:50]), "broken"),
    "a picture of other pixels": (put_another_picture, "other pixels"),
    "a picture of another size": (crop, "other pixels"),
    "pictures swapped": (swap, "in their order"),
    "a picture said to be larger": (resize, "not "),
    "tokens per picture": (lambda rs, f: rs[0]["images"][0].update(token_len=1), "image tokens"),
    "another token": (lambda rs, f: rs[0]["input_ids"].__setitem__(rs[0]["prompt_len"], 7), "not those of its message"),
    "another text": (lambda rs, f: rs[0]["turns"][1].update(text="no"), "not that of its message"),
    "no messages": (lambda rs, f: rs[0].update(messages="{}"), "no conversation"),
    "an observation learnt": (lambda rs, f: rs[0]["loss_mask"].__setitem__(rs[0]["prompt_len"] - 1, 1), "mask"),
    "another reward": (lambda rs, f: rs[0].update(reward=rs[0]["reward"] + 0.5), "its components make"),
    "a component gone": (unweigh, "the reward lacks"),
    "no components": (lambda rs, f: rs[0].update(rewards="[]"), "no numbers by name"),
    "another status": (lambda rs, f: rs[0].update(status="fine"), "status"),
    "another schema": (lambda rs, f: rs[0].update(schema_version=2), "schema version 2"),
    "a column gone": (lambda rs, f: rs[0].pop("logprobs"), "logprobs"),
    "an episode twice": (lambda rs, f: rs.append(rs[0]), "more than once"),
    "an id twice": (lambda rs, f: rs[1].update(episode_id=rs[0]["episode_id"]), "more than once"),
    "a log-probability above 0": (set_logprob(0.5), "log-probability is not one"),
    "an infinite log-probability": (set_logprob(float("-inf")), "log-probability is not one"),
    "a log-probability that is no number": (set_logprob(float("nan")), "log-probability is not one"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_out(whole, tmp_path, name, capsys):
    change, said = TAMPERINGS[name]
    folder = tampered(whole, tmp_path / "copy", change)
    with pytest.raises(RecordError) as raised:
        check(folder, policy=None)
    assert said in str(raised.value) + capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shift(-0.5, None), "1 of 3 records are not what .* would sample: .*mean 0.5"),
        (shift(-3.0, 1), "1 of 3 records are not what .* would sample: .*max 3"),
        (change_prompt, "tokens are not those of its messages"),
    ],
)
def test_a_policy_knows_what_it_would_have_sampled(whole, tiny_policy, tmp_path, change, said):
    folder = tampered(whole, tmp_path / "copy", change)
    assert check_folder(folder, None)["broken"] == []
    name = list(read_records(folder))[1]["episode_id"]
    with pytest.raises(RecordError, match=said) as raised:
        check(folder, policy=str(tiny_policy))
    assert name in str(raised.value)


def test_whole_records_pass_before_and_after_compaction(whole, tiny_policy, tmp_path):
    folder = tampered(whole, tmp_path / "copy", lambda records, folder: None)
    check(folder, policy=str(tiny_policy))
    lines = folder / "episodes-000.jsonl"
    kept = lines.read_bytes()
    compact(folder)
    report = check_folder(folder, str(tiny_policy), Bounds(sample=2))
    assert (report["records"], report["broken"], report["apart"]) == (3, [], [])
    assert report["compared_records"] == 2
    assert report["parity_max"] < 1e-4
    lines.write_bytes(kept)  # killed while compacting: nothing is wrong, and nothing is there twice
    assert check_folder(folder, None) == {"records": 3, "broken": []}


def test_a_reward_that_nobody_knows_is_said_not_to_be_checked(whole, tmp_path):
    folder = tampered(whole, tmp_path / "copy", lambda records, _: records[0].update(reward_name="mine", reward=7.0))
    assert check_folder(folder, None) == {"records": 3, "broken": [], "rewards_not_checked": ["mine"]}
