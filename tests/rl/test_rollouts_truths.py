"""Runner on tasks whose truth is not a mask on every frame: none on some frames, or boxes alone."""

import json
from pathlib import Path

import dataset_fixtures as make
import numpy as np
import pytest
from graph_stubs import BoxSegmenter
from rollout_stubs import Scripted, letters

from graphs.context import Context
from graphs.dialects.base import View
from graphs.dialects.seg_research import SegResearch
from graphs.policies.chatml import ChatML
from graphs.profiles import get_profile
from rl.rewards import get_reward
from rl.rollouts import Rollout, Runner
from rl.tasks import TaskSource
from rl.tasks.emblems import EmblemsSource
from rl.tasks.ok_vos import OKVOSSource
from rl.tasks.vision_reasoner import VisionReasonerSource
from tools.errors import InputError


class NoSegmenter(BoxSegmenter):
    """One that must not be asked."""

    def segment(self, *_):
        raise AssertionError("nothing is to be cut")


def play(source: TaskSource, turns: list[str], reward: str, index: int = 0, **parts) -> Rollout:
    """One episode of scripted turns; Seg-ReSearch's, unless `parts` say otherwise."""
    view = View(frames=6, frame_size=64, keyframe_size=64, image_size=32)
    cell = parts.pop("cell", 32)
    given = {"dialect": SegResearch(view, "compact"), "segmenter": BoxSegmenter()} | parts
    context = Context(policy=Scripted(turns), **given)
    (rollout,) = Runner(source, context, ChatML(letters, cell=cell), get_reward(reward)).run([(index, 0)])
    assert rollout is not None, "the episode broke"
    return rollout


def on_frame(frame: int, box: list[int]) -> list[str]:
    point = [(box[0] + box[2]) // 2, (box[1] + box[3]) // 2]
    answer = json.dumps({"bbox_2d": box, "point_2d": point})
    thought = "<thinking> a </thinking>\n"
    return [f"{thought}<keyframe> {frame} </keyframe>", f"{thought}<answer> {answer} </answer>"]


@pytest.mark.parametrize("reward", ["segscout", "seg-research"])
def test_an_answer_on_a_frame_that_does_not_show_the_target_is_wrong(tmp_path: Path, reward: str) -> None:
    make.ok_vos(tmp_path, "test")
    source = OKVOSSource(tmp_path, "test")
    box = [133, 125, 317, 425]  # where the target is seen in frame 8
    unseen, seen = (play(source, on_frame(frame, box), reward, 1) for frame in (0, 8))
    assert source[1].masks(0) == ()
    assert (unseen.success, seen.success) == (False, True)
    assert seen.play.cut is not None
    outcome = ("mask", "hit", "keyframe") if reward == "segscout" else ("iou_score", "box_l1_score", "keyframe_score")
    assert [unseen.components[name] for name in outcome] == [0, 0, 0]
    assert all(seen.components[name] > 0 for name in outcome)


def test_an_emblem_that_is_out_of_sight_on_the_answered_frame_is_not_found() -> None:
    source = EmblemsSource("val", 3)
    task = source[37]
    assert not task.truth.absent
    assert task.masks(2) == ()
    rollout = play(source, on_frame(2, [100, 100, 300, 300]), "segscout", 37)
    assert not rollout.success
    assert rollout.reward == 0


ONE = "<box>(10,100),(200,210)</box><points>(30,110),(35,180)</points>"
TWO = [
    {"bbox_2d": [10, 100, 200, 210], "point_2d": [30, 110]},
    {"bbox_2d": [225, 296, 706, 786], "point_2d": [302, 410]},
]


def boxes_only(tmp_path: Path, solution: str, answer: object, profile: str, reward: str, side: int = 840) -> Rollout:
    """An episode on a set without masks, answered with JSON, or three times with words that are no answer."""
    row = {"id": "r0", "problem": "the dog.", "solution": solution, "img_height": 480, "img_width": 640}
    row |= {"image": make.png(np.zeros((side, side, 3), np.uint8))}
    make.write_parquet(tmp_path / "train.parquet", [row])
    chosen = get_profile(profile)
    said = [answer] * 3 if isinstance(answer, str) else [f"<think>a</think><answer>{json.dumps(answer)}</answer>"]
    parts = {"dialect": chosen.make_dialect(), "budget": chosen.budget, "segmenter": NoSegmenter(), "cell": 28}
    return play(VisionReasonerSource(tmp_path), said, reward, **parts)


def iou(one: list[int], other: list[int]) -> float:
    """By counting the unit squares of whole-numbered boxes."""
    squares = [{(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])} for b in (one, other)]
    return len(squares[0] & squares[1]) / len(squares[0] | squares[1])


NEAR, FAR = [10, 100, 200, 200], [720, 10, 800, 90]
HALF = iou(NEAR, TWO[0]["bbox_2d"])  # type: ignore[arg-type]
LOST = -0.1 - 3 * 0.05  # no answer, and three turns that could not be used


def seg_zero(box: list[int]) -> dict[str, list[int]]:
    return {"bbox": box, "points_1": [box[0] + 20, box[1] + 10], "points_2": [box[0] + 25, box[1] + 80]}


def reasoned(*boxes: list[int]) -> list[dict[str, list[int]]]:
    return [{"bbox_2d": box, "point_2d": [box[0] + 20, box[1] + 10]} for box in boxes]


@pytest.mark.parametrize(
    ("answer", "reward", "expected", "success"),
    [
        (seg_zero(NEAR), "seg-zero", 5, True),  # two for the form, three for the place
        (seg_zero(FAR), "seg-zero", 2, False),
        ("It is there.", "seg-zero", 0, False),
        (seg_zero(NEAR), "segscout", 0.6 * HALF + 0.2 + 0.1 + 0.1, True),
        (seg_zero(FAR), "segscout", 0, False),
        ({"points_1": [30, 110], "points_2": [35, 180]}, "segscout", 0, False),
        ("It is there.", "segscout", LOST, False),
    ],
)
def test_seg_zero_is_scored_by_boxes(tmp_path: Path, answer: object, reward: str, expected: float, success: bool):
    rollout = boxes_only(tmp_path, ONE, answer, "seg-zero-7b", reward)
    assert rollout.reward == pytest.approx(expected)
    assert (rollout.success, rollout.play.cut) == (success, None)


@pytest.mark.parametrize(
    ("answer", "reward", "expected", "success"),
    [
        (reasoned([225, 296, 706, 786], NEAR), "vision-reasoner", 1 + 2 + 1 + (2 + 3) / 2, True),  # a point is far
        (reasoned(NEAR, FAR), "vision-reasoner", 1 + 2 + 1 + 3 / 2, False),
        (reasoned(FAR), "vision-reasoner", 1 + 2 + 1, False),
        ("It is there.", "vision-reasoner", 0, False),  # and the same words three times are repetition
        (reasoned([225, 296, 706, 786], NEAR), "segscout", 0.6 * (1 + HALF) / 2 + 0.4, True),
        (reasoned(NEAR), "segscout", 0.6 * HALF / 2 + 0.2 / 2 + 0.1 / 2 + 0.1 / 2, False),
        (reasoned(FAR, FAR), "segscout", 0, False),
        ("It is there.", "segscout", LOST, False),
    ],
)
def test_vision_reasoner_is_scored_by_boxes(tmp_path: Path, answer: object, reward: str, expected: float, success):
    rollout = boxes_only(tmp_path, json.dumps(TWO), answer, "vision-reasoner-7b", reward)
    assert rollout.reward == pytest.approx(expected)
    assert (rollout.success, rollout.play.cut) == (success, None)


def test_nothing_there_and_said_so_is_right(tmp_path: Path) -> None:
    rollout = boxes_only(tmp_path, "[]", [], "vision-reasoner-7b", "segscout")
    assert rollout.reward == pytest.approx(1)
    assert rollout.success
    assert not boxes_only(tmp_path, "[]", reasoned(NEAR), "vision-reasoner-7b", "segscout").success


def test_boxes_are_in_the_units_of_the_truth_whatever_the_size_of_the_picture(tmp_path: Path) -> None:
    rollout = boxes_only(tmp_path, ONE, seg_zero(NEAR), "seg-zero-7b", "segscout", side=420)
    assert rollout.result.instances[0].box == pytest.approx([5, 50, 100, 100])
    assert rollout.play.boxes == (pytest.approx(NEAR),)
    assert rollout.success


def test_a_reward_that_compares_masks_is_refused_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="seg-r1 compares masks, and this task has none"):
        boxes_only(tmp_path, ONE, seg_zero(NEAR), "seg-zero-7b", "seg-r1")
