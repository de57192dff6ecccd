"""Records replayed through today's dialect: all agree as they were made, and whatever was changed is named."""

from copy import deepcopy
from pathlib import Path

import pytest
from rollout_stubs import roll_out

from agent.commands.replay import run_replay
from graphs.policies.base import Sampling
from rl.records import Record, RecordError, RecordWriter
from rl.records.encode import Origin, to_record
from rl.replay import replay_records

ORIGIN = Origin("tiny", "seg_research", Sampling(temperature=1.0), "val", 3, "found")


@pytest.fixture(scope="module")
def rollouts(tiny_policy):
    return roll_out(tiny_policy, 3)


def written(folder: Path, rollouts, records: list[Record]) -> Path:
    writer = RecordWriter(folder, image_pad=rollouts[0].image_pad)
    for rollout, record in zip(rollouts, records, strict=True):
        writer.write(record, rollout.result.images)
    writer.close()
    return folder


def test_episodes_agree_with_the_dialect_that_made_them(tmp_path, rollouts):
    records = [to_record(rollout, ORIGIN) for rollout in rollouts]
    report = replay_records(written(tmp_path, rollouts, records))
    assert (report.records, report.agree, report.disagree) == (3, report.turns, [])
    assert report.turns == sum(rollout.result.usage.turns for rollout in rollouts)
    assert report.actions["search"] == sum(rollout.result.usage.searches for rollout in rollouts)
    assert report.actions["answer"] == 3


def test_a_turn_that_would_act_otherwise_is_named_with_the_reason_if_there_is_one(tmp_path, rollouts, capsys):
    records = [deepcopy(to_record(rollout, ORIGIN)) for rollout in rollouts]
    looked = next(turn for turn in records[1]["turns"] if turn["action"] == "LookCloser")
    looked["action"] = "Malformed"  # as for a frame that the clip had not
    answered = records[2]["turns"][-1]
    answered["action"] = "Search"
    report = replay_records(written(tmp_path, rollouts, records))
    assert [(one.record, one.recorded, one.ours) for one in report.disagree] == [
        (1, {"kind": "malformed"}, {"kind": "keyframe"}),
        (2, {"kind": "search"}, {"kind": "answer"}),
    ]
    assert ["no such frame" in one.reason for one in report.disagree] == [True, False]
    with pytest.raises(SystemExit):
        run_replay(tmp_path, "seg-research", as_json=False)
    assert "1 of them unexplained" in capsys.readouterr().out
    with pytest.raises(RecordError):
        replay_records(tmp_path / "media")
