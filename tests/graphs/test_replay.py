import json
from pathlib import Path
from typing import Any

import pytest
from graph_stubs import VIEW

from graphs.dialects.seg_research import SegResearch
from graphs.replay import ReplayReport, replay_rollouts, split_turns
from tools.errors import InputError

DIALECT = SegResearch(VIEW)
ROLLOUTS = Path(__file__).parents[3] / "shared/data/seg_research/rollouts"
SEARCH = '<thinking> a </thinking>\n<search> {"name": "text_search", "query": "q"} </search>'
FOUND = "<information>1. (Title: T) b\n</information>\n\n"
ANSWER = '<thinking> a </thinking>\n<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]} </answer>'


def record(*turns: tuple[str, str], last: str, stop: str = "model_chose_to_finish", **step: Any) -> dict[str, Any]:
    """A rollout in the recorded format: pairs of turn and observation, then the last turn."""
    output = "".join(f"{t}\n<|im_end|>\n<|im_start|>user\n{o}<|im_end|>\n<|im_start|>assistant\n" for t, o in turns)
    steps = [{"action": t, "obs": o, "invalid_reason": None} | step for t, o in turns]
    return {"output": f"{output}{last}<|im_end|>", "tool_interact_info": steps, "traj_stop_reason": stop}


def replay(tmp_path: Path, *records: dict[str, Any]) -> ReplayReport:
    path = tmp_path / "rollouts.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in records) + "\n\n")
    return replay_rollouts(path, DIALECT)


def test_turns_are_split_as_they_were_sampled() -> None:
    assert split_turns(record((SEARCH, FOUND), last=ANSWER)["output"]) == [SEARCH, ANSWER]


def test_agreement_is_counted_by_action(tmp_path: Path) -> None:
    file_error = "Error processing keyframe: [Errno 2] No such file or directory: '/d/JPEGImages/ab/00007.jpg'"
    report = replay(
        tmp_path,
        record((SEARCH, FOUND), ("<keyframe> 7 </keyframe>", file_error), last=ANSWER),
        record(("<keyframe> 3 </keyframe>", "Here is the high-res version of your selected frame: <image>"), last="hm"),
    )
    assert report.as_dict() == {
        "records": 2,
        "turns": 5,
        "actions": {"search": 1, "keyframe": 2, "answer": 1, "malformed": 1},
        "agree": 5,
        "disagree": [],
    }


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record(("<keyframe> [0] </keyframe>", ""), last="hm", invalid_reason="No valid tool"), "brackets"),
        (record(("<keyframe> -1 </keyframe>", "Frame index not in [0, 4]."), last="hm"), "refused keyframe -1"),
        (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2_d": [2, 3]} </answer>'), "misspelled"),
        (record(last='<answer> {"bbox_2d": [0, 0, 0, 0], "point_2d": [0]} </answer>'), "absent"),
        (record(last="<answer> None of the frames contain it. </answer>"), "no JSON"),
        (record(last='<answer> {"bbox_2d": [1, 2,\n3, 4]} </answer>'), "one line"),
        (record(last='<answer> {"bbox_2d": [3, 4, 1, 2], "point_2d": [2, 3]} </answer>'), "in order"),
        (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2]} </answer>'), "wrong length"),
        (record(last=SEARCH, stop="max_turns_reached"), "no turn left"),
    ],
)
def test_where_we_do_better_the_reason_is_given(tmp_path: Path, made: dict[str, Any], reason: str) -> None:
    report = replay(tmp_path, made)
    assert len(report.disagree) == 1
    assert reason in report.disagree[0].reason
    assert report.unexplained == 0


def test_a_real_difference_has_no_excuse(tmp_path: Path) -> None:
    wrong = "Error processing keyframe: '/d/JPEGImages/ab/00007.jpg'"
    report = replay(tmp_path, record(("<keyframe> 3 </keyframe>", wrong), last=ANSWER))
    assert report.unexplained == 1
    assert report.disagree[0].recorded == {"kind": "keyframe", "frame": 7}
    assert report.disagree[0].ours == {"kind": "keyframe", "frame": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file"),
        (b"", "no records"),
        (b"\n\n", "no records"),
        (b"{", "line 1"),
        (b'{"output": "a", "tool_interact_info": []}\n[1]', "line 2"),
        (b'{"output": "a"}', "tool_interact_info"),
        (b'{"output": 5, "tool_interact_info": []}', "output"),
        (b"\xff\xfe\x00", "rollouts.jsonl"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "rollouts.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        replay_rollouts(path, DIALECT)
    with pytest.raises(InputError):
        replay_rollouts(tmp_path, DIALECT)


@pytest.mark.skipif(not ROLLOUTS.is_dir(), reason="the shared rollouts are not here")
def test_every_recorded_turn_agrees_or_is_explained() -> None:
    turns = 0
    for path in sorted(ROLLOUTS.glob("*.jsonl")):
        report = replay_rollouts(path, DIALECT)
        assert report.records == 128
        assert report.unexplained == 0
        assert report.agree + len(report.disagree) == report.turns == sum(report.actions.values())
        turns += report.turns
    assert turns == 944
