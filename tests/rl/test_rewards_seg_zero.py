"""Golden values of Seg-Zero's and VisionReasoner's rewards, measured on the published functions (specs/seg-zero.md)."""

import itertools
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.rewards import REWARDS, get_reward
from rl.rewards.base import FrameTruth, ObjectTruth, Play, PlayTurn, Truth, total
from rl.rewards.matching import best_pairs
from rl.rewards.seg_zero import SegZero
from rl.rewards.vision_reasoner import VisionReasoner
from tools.errors import InputError

ONE = ObjectTruth((100, 100, 300, 300), (200, 200), second=(250, 250))
TWO = ObjectTruth((400, 400, 600, 700), (500, 550))
THINK = "<think>a b c. d e f.</think>"


def play(reply: str, *objects: ObjectTruth) -> Play:
    return Play((PlayTurn("policy", reply),), Truth({0: FrameTruth(objects)} if objects else {}))


def item(truth: ObjectTruth, *, box: float = 0, point: float = 0) -> dict[str, list[float]]:
    return {"bbox_2d": [v + box for v in truth.box], "point_2d": [truth.point[0] + point, truth.point[1]]}


def reply(items: object, think: str = THINK) -> str:
    return f"{think}<answer>{items if isinstance(items, str) else json.dumps(items)}</answer>"


RIGHT = [item(ONE), item(TWO)]
REVERSED = [{"bbox_2d": [300, 300, 100, 100], "point_2d": [200, 200]}, item(TWO)]
STRINGS = [{"bbox_2d": [str(v) for v in one.box], "point_2d": [str(v) for v in one.point]} for one in (ONE, TWO)]
GOLDEN = {
    "perfect": (reply(RIGHT), 3, 3, 1, 7),
    "swapped order": (reply(RIGHT[::-1]), 3, 3, 1, 7),
    "answer twice": (reply(RIGHT) + f"<answer>{json.dumps(RIGHT)}</answer>", 3, 3, 1, 7),
    "one of two": (reply(RIGHT[:1]), 3, 1.5, 1, 5.5),
    "one extra": (reply([*RIGHT, item(ONE, box=500, point=500)]), 3, 2, 1, 6),
    "boxes +9": (reply([item(ONE, box=9), item(TWO, box=9)]), 3, 3, 1, 7),
    "boxes +10": (reply([item(ONE, box=10), item(TWO, box=10)]), 3, 2, 1, 6),
    "points +29": (reply([item(ONE, point=29), item(TWO, point=29)]), 3, 3, 1, 7),
    "points +30": (reply([item(ONE, point=30), item(TWO, point=30)]), 3, 2, 1, 6),
    "no second point": (reply([item(ONE), {"bbox_2d": [400, 400, 600, 700]}]), 2.5, 0, 1, 3.5),
    "empty list": (reply("[]"), 1, 0, 1, 2),
    "code fence": (reply(f"```json\n{json.dumps(RIGHT)}\n```"), 1, 0, 1, 2),
    "single quotes": (reply(json.dumps(RIGHT).replace('"', "'")), 1, 0, 1, 2),
    "no think": (reply(RIGHT, think=""), 2, 3, 1, 6),
    "trailing text": (f"{reply(RIGHT)} So.", 2, 3, 1, 6),
    "strings": (reply(STRINGS), 3, 0, 1, 4),
    "reversed box": (reply(REVERSED), 3, 1.5, 1, 5.5),
    "one repeat": (reply(RIGHT, think="<think>a. b. b. c.</think>"), 3, 3, 1, 7),
    "two repeats": (reply(RIGHT, think="<think>a. b. b. b. c.</think>"), 3, 3, 0, 6),
    "cut off": (reply(RIGHT).removesuffix("</answer>"), 0, 0, 1, 1),
}


@pytest.mark.parametrize(("text", "form", "accuracy", "non_repeat", "whole"), GOLDEN.values(), ids=GOLDEN)
def test_vision_reasoner_golden(text: str, form: float, accuracy: float, non_repeat: float, whole: float) -> None:
    reward = VisionReasoner()
    found = reward.components(play(text, ONE, TWO))
    assert found["thinking_format"] + found["answer_format"] == form
    assert (found["accuracy"], found["non_repeat"]) == (accuracy, non_repeat)
    assert total(reward, found) == whole


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=4, max_size=4), min_size=1, max_size=4))
def test_matching_is_the_best_of_all_assignments(rows: list[list[float]]) -> None:
    values = np.array(rows)
    best = max(sum(values[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(4), len(rows)))
    pairs = best_pairs(values)
    assert sum(values[pair] for pair in pairs) == best
    assert len({j for _, j in pairs}) == len({i for i, _ in pairs}) == len(rows)


def test_hundreds_of_objects_are_cut_to_120_and_quick() -> None:
    many = [ObjectTruth((i, 0, i + 300, 300), (i + 9, 9)) for i in range(400)]
    start = time.perf_counter()
    found = VisionReasoner().components(play(reply([item(one) for one in many]), *many))
    assert found["accuracy"] == 3
    assert time.perf_counter() - start < 2


def zero(box: object = (100, 100, 300, 300), one: object = (200, 200), two: object = (250, 250), **more: object) -> str:
    answer = {"bbox": box, "points_1": one, "points_2": two} | more
    return f"{THINK}<answer>{json.dumps(answer)}</answer>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (zero(), (1, 1, 1, 1, 1)),
        (zero(one=(250, 250), two=(200, 200)), (1, 1, 1, 1, 1)),
        (zero(box=(109, 109, 309, 309)), (1, 1, 1, 1, 1)),
        (zero(box=(110, 110, 310, 310)), (1, 1, 1, 0, 1)),
        (zero(one=(301, 200)), (1, 1, 1, 1, 0)),  # outside its own box
        (zero(one=(290, 110), two=(290, 110)), (1, 1, 1, 1, 0)),  # 127 and 146 away
        (zero(box=(100, 100, 190, 190)), (1, 1, 0, 0, 0)),
        (zero(extra=1), (1, 0, 1, 1, 1)),  # strict: no further key
        (zero(two=(1, 2, 3)), (1, 0, 1, 1, 0)),
        (zero().removeprefix(THINK), (0, 1, 1, 1, 1)),
        # The example of the published prompt, which is in single quotes.
        (reply("{'bbox': [10,100,200,210], 'points_1': [30,110], 'points_2': [35,180]}"), (1, 0, 0, 0, 0)),
        (f"{THINK}<answer>none</answer>", (1, 0, 0, 0, 0)),
        ("", (0, 0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_seg_zero(text: str, expected: tuple[int, ...]) -> None:
    found = SegZero().components(play(text, ONE))
    assert tuple(found.values()) == expected
    assert total(SegZero(), found) == sum(expected)


def test_seg_zero_soft_format_takes_other_keys() -> None:
    text = zero().replace('"bbox"', '"bbox_2d"').replace("points_1", "point_a")
    assert SegZero().components(play(text, ONE))["answer_format"] == 0
    assert SegZero(strict=False).components(play(text, ONE))["answer_format"] == 1


@pytest.mark.parametrize("name", REWARDS)
@given(
    text=st.text(max_size=80) | st.sampled_from([*(row[0] for row in GOLDEN.values()), zero()]), absent=st.booleans()
)
def test_whatever_a_policy_writes_is_scored(name: str, text: str, absent: bool) -> None:
    reward = get_reward(name)
    found = reward.components(play(text) if absent else play(text, ONE, TWO))
    assert set(reward.weights) <= set(found)
    assert np.isfinite(total(reward, found))


@pytest.mark.parametrize("name", ["seg-zero", "vision-reasoner"])
@pytest.mark.parametrize(
    "value", ["1e999", "-1e308", "1e308", "NaN", "9" * 400, "true", "null", "[[[]]]", "[" * 100_000]
)
def test_monstrous_numbers_are_scored(name: str, value: str) -> None:
    text = json.dumps(RIGHT).replace("100", value) if name == "vision-reasoner" else zero().replace("100", value)
    reward = get_reward(name)
    assert np.isfinite(total(reward, reward.components(play(reply(text), ONE, TWO))))


def test_names_of_rewards() -> None:
    for name in REWARDS:
        assert get_reward(name).name == get_reward(name.replace("-", "_").upper()).name == name
    with pytest.raises(InputError, match="seg-research, seg-zero, vision-reasoner, seg-r1, seg-r1-points, segscout"):
        get_reward("accuracy")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'scipy'")

    monkeypatch.setattr("rl.rewards.import_module", missing)
    with pytest.raises(InputError, match=r"scipy.*\.\[train\]"):
        get_reward("segscout")
