import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graph_stubs import VIEW
from shared_data import SHARED, needs_shared

from graphs.actions import Action, Answer, LookCloser, Malformed, Search, SearchQuery, Target
from graphs.dialects.seg_research import SegResearch
from graphs.replay import ReplayReport, replay_rollouts, split_turns
from tools.errors import InputError

DIALECT = SegResearch(VIEW)
ROLLOUTS = SHARED / "data/seg_research/rollouts"
SEARCH = '<thinking> a </thinking>\n<search> {"name": "text_search", "query": "q"} </search>'
FOUND = "<information>1. (Title: T) b\n</information>\n\n"
ANSWER = '<thinking> a </thinking>\n<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]} </answer>'


def record(*turns: tuple[str, str], last: str, stop: str = "model_chose_to_finish", **step: Any) -> dict[str, Any]:
    """A rollout in the recorded format: pairs of turn and observation, then the last turn."""
    output = "".join(f"{t}\n<|im_end|>\n<|im_start|>user\n{o}<|im_end|>\n<|im_start|>assistant\n" for t, o in turns)
    steps = [{"action": t, "obs": o, "invalid_reason": None} | step for t, o in turns]
    return {"output": f"{output}{last}<|im_end|>", "tool_interact_info": steps, "traj_stop_reason": stop}


def replay(tmp_path: Path, *records: dict[str, Any], dialect: SegResearch = DIALECT) -> ReplayReport:
    path = tmp_path / "rollouts.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in records) + "\n\n")
    return replay_rollouts(path, dialect)


class Broken(SegResearch):
    """The dialect with a fault in its parser."""

    def __init__(self, fault: Callable[[Action], Action]) -> None:
        super().__init__(VIEW)
        self.fault = fault

    def parse(self, text: str) -> Action:
        return self.fault(super().parse(text))


def on_targets(change: Callable[[Target], Target]) -> Callable[[Action], Action]:
    def fault(action: Action) -> Action:
        match action:
            case Answer(targets, frame):
                return Answer(tuple(change(target) for target in targets), frame)
        return action

    return fault


def swap_box_axes(target: Target) -> Target:
    x1, y1, x2, y2 = target.box or (0.0, 0.0, 0.0, 0.0)
    return replace(target, box=(y1, x1, y2, x2))


def swap_point_axes(target: Target) -> Target:
    return replace(target, points=tuple((y, x) for x, y in target.points))


def drop_points(target: Target) -> Target:
    return replace(target, points=(), labels=())


def next_frame(action: Action) -> Action:
    return LookCloser(action.frame + 1) if isinstance(action, LookCloser) else action


def other_query(action: Action) -> Action:
    return Search((SearchQuery("text_search", "else"),)) if isinstance(action, Search) else action


def not_there(action: Action) -> Action:
    return Answer(()) if isinstance(action, Answer) else action


def always_there(action: Action) -> Action:
    there = Target((0.1, 0.1, 0.2, 0.2), ((0.1, 0.1),), (1,))
    return Answer((there,)) if isinstance(action, Answer) and action.absent else action


FAULTS: dict[str, Callable[[Action], Action]] = {
    "box axes": on_targets(swap_box_axes),
    "point axes": on_targets(swap_point_axes),
    "no points": on_targets(drop_points),
    "frame": next_frame,
    "query": other_query,
    "absent": not_there,
    "there": always_there,
    "nothing": lambda action: Malformed("unread", "unread"),
}


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


BETTER = [
    (record(("<keyframe> [0] </keyframe>", ""), last="hm", invalid_reason="No valid tool"), "brackets", "frame"),
    (record(("<keyframe> -1 </keyframe>", "Frame index not in [0, 4]."), last="hm"), "refused keyframe -1", "there"),
    (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2_d": [2, 3]} </answer>'), "misspelled", "point axes"),
    (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2_d": [2, 3]} </answer>'), "misspelled", "box axes"),
    (record(last='<answer> {"bbox_2d": [0, 0, 0, 0], "point_2d": [0]} </answer>'), "absent", "there"),
    (record(last="<answer> None of the frames contain it. </answer>"), "no JSON", "there"),
    (record(last='<answer> {"bbox_2d": [1, 2,\n3, 4]} </answer>'), "one line", "box axes"),
    (record(last='<answer> {"bbox_2d": [3, 4, 1, 2], "point_2d": [2, 3]} </answer>'), "in order", "box axes"),
    (record(last='<answer> {"bbox_2d": [3, 4, 1, 2], "point_2d": [2, 3]} </answer>'), "in order", "point axes"),
    (record(last='<answer> {"bbox_2d": [3, 4, 1, 2], "point_2d": [2, 3]} </answer>'), "in order", "no points"),
    (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2]} </answer>'), "wrong length", "box axes"),
    (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [0, 0]} </answer>'), "filler", "absent"),
    (record(last='<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 1003]} </answer>'), "clamped", "point axes"),
    (record(last=SEARCH, stop="max_turns_reached"), "no turn left", "query"),
    (record(last="<keyframe> 3 </keyframe>", stop="max_turns_reached"), "no turn left", "frame"),
    (record(last=ANSWER, stop="max_turns_reached"), "no turn left", "point axes"),
]


@pytest.mark.parametrize(("made", "reason", "fault"), BETTER)
def test_where_we_do_better_the_reason_is_given_and_is_checked(
    tmp_path: Path, made: dict[str, Any], reason: str, fault: str
) -> None:
    report = replay(tmp_path, made)
    assert len(report.disagree) == 1
    assert reason in report.disagree[0].reason
    assert report.unexplained == 0
    assert replay(tmp_path, made, dialect=Broken(FAULTS[fault])).unexplained == 1


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


@needs_shared("data/seg_research/rollouts")
def test_every_recorded_turn_agrees_or_is_explained() -> None:
    turns = 0
    for path in sorted(ROLLOUTS.glob("*.jsonl")):
        report = replay_rollouts(path, DIALECT)
        assert report.records == 128
        assert report.unexplained == 0
        assert report.agree + len(report.disagree) == report.turns == sum(report.actions.values())
        turns += report.turns
    assert turns == 944


@needs_shared("data/seg_research/rollouts")
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_no_fault_of_the_parser_is_explained_away(fault: str) -> None:
    for path in sorted(ROLLOUTS.glob("*.jsonl")):
        report = replay_rollouts(path, Broken(FAULTS[fault]))
        assert report.unexplained >= 4, path
