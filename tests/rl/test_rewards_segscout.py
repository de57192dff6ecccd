from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.endings import Ending
from rl.rewards.base import Cut, FrameTruth, ObjectTruth, Play, PlayTurn, Truth, total
from rl.rewards.segscout import Segscout, SegscoutSettings

REWARD = Segscout()
STEPS = ("who won", "what is their emblem")


def mask(left: int, right: int) -> np.ndarray:
    picture = np.zeros((40, 100), bool)
    picture[10:30, left:right] = True
    return picture


TRUE, OTHER, EMPTY = mask(10, 30), mask(60, 80), mask(0, 0)
SEEN = FrameTruth((ObjectTruth((100, 250, 300, 750), (200, 500)),), max_conn_area=0.5)
TRUTH = Truth({4: replace(SEEN, max_conn_area=1.0), 7: SEEN}, STEPS)
FOUND = Play((), TRUTH, Ending.FOUND, keyframe=4, cut=Cut((TRUE,), (TRUE,)), searches=2, useful=2)
ABSENT = Play((), Truth({}, STEPS), Ending.ABSENT, searches=2, useful=2)
UNANSWERED = [ending for ending in Ending if not ending.answered and not ending.broken]


def value(play: Play) -> float:
    return total(REWARD, REWARD.components(play))


def cut(*predicted: np.ndarray, true: tuple[np.ndarray, ...] = (TRUE,)) -> float:
    return value(replace(FOUND, cut=Cut(predicted, true)))


def test_a_right_answer_earns_one() -> None:
    assert value(FOUND) == pytest.approx(1)
    assert value(ABSENT) == pytest.approx(1)
    assert value(replace(FOUND, truth=replace(TRUTH, steps=()), searches=0, useful=0)) == pytest.approx(1)


def test_more_overlap_always_pays_and_a_hit_pays_more() -> None:
    earned = [cut(mask(10, right)) for right in range(11, 31)]
    steps = np.diff(earned)
    assert (steps > 0).all()
    # IoU is (right - 10) / 20 here, so 0.5 is passed between 20 and 21: a bonus there, even steps elsewhere.
    assert steps.argmax() == 9
    assert np.delete(steps, 9) == pytest.approx(0.6 / 20)


@pytest.mark.parametrize("ending", [Ending.FOUND, Ending.ABSENT, *UNANSWERED])
def test_absence_is_all_or_nothing(ending: Ending) -> None:
    none_there = replace(ABSENT, ending=ending, cut=Cut((TRUE,), ()) if ending is Ending.FOUND else None)
    assert value(none_there) == pytest.approx({Ending.ABSENT: 1, Ending.FOUND: 0}.get(ending, -0.1))
    assert value(replace(FOUND, ending=Ending.ABSENT, cut=None)) == 0


def test_empty_masks_never_agree() -> None:
    assert cut(EMPTY) == cut() == cut(EMPTY, true=(EMPTY,)) == cut(EMPTY, true=()) == cut(TRUE, true=()) == 0


def test_several_objects_are_matched_and_miscounting_costs() -> None:
    both = (TRUE, OTHER)
    assert cut(OTHER, TRUE, true=both) == pytest.approx(1)
    assert cut(TRUE, true=both) == cut(TRUE, OTHER) == cut(TRUE, TRUE) == pytest.approx(0.5)
    assert cut(*[mask(left, left + 20) for left in range(80)]) < 0.02
    # Nearest first would pair 1-1 and leave nothing for the other.
    assert cut(mask(10, 30), mask(20, 40), true=(mask(15, 35), mask(10, 26))) > 0.5


def test_the_clearer_frame_pays_only_if_the_mask_is_right() -> None:
    assert value(replace(FOUND, keyframe=7)) == pytest.approx(0.95)
    assert value(replace(FOUND, keyframe=5)) == pytest.approx(0.9)  # not known how clear
    wrong = replace(FOUND, cut=Cut((OTHER,), (TRUE,)))
    assert value(wrong) == value(replace(wrong, keyframe=7)) == 0


def test_searches_pay_up_to_what_is_needed_and_only_before_a_right_answer() -> None:
    made = [value(replace(FOUND, searches=n, useful=n)) for n in range(8)]
    assert made == pytest.approx([0.9, 0.95, 1.0, 0.95, 0.9, 0.85, 0.8, 0.8])
    wrong = replace(FOUND, cut=Cut((OTHER,), (TRUE,)))
    assert [value(replace(wrong, searches=n, useful=n)) for n in range(4)] == pytest.approx([0, 0, 0, -0.05])


def test_a_search_that_brings_nothing_new_costs() -> None:
    assert value(replace(FOUND, searches=3)) == pytest.approx(0.95)
    assert value(replace(FOUND, searches=2, useful=1)) == pytest.approx(0.9)
    assert value(replace(FOUND, searches=99)) == pytest.approx(0.8)


def test_where_the_need_is_unknown_only_useless_searches_cost() -> None:
    unknown = replace(FOUND, truth=replace(TRUTH, steps=(), steps_known=False))
    assert value(replace(unknown, searches=5, useful=5)) == pytest.approx(1)
    assert value(replace(unknown, searches=5, useful=4)) == pytest.approx(0.95)


def test_malformed_turns_cost_a_little() -> None:
    earned = [value(replace(FOUND, facts={"malformed": float(n)})) for n in (0, 1, 4, 9)]
    assert earned == pytest.approx([1, 0.95, 0.8, 0.8])


def test_a_broken_system_is_nobodys_merit() -> None:
    for ending in Ending:
        if ending.broken:
            assert value(replace(FOUND, ending=ending, searches=9, facts={"malformed": 3})) == 0


counts = st.integers(0, 30)
faulty = st.builds(
    lambda searches, useful, malformed: {
        "searches": searches,
        "useful": min(useful, searches),
        "facts": {"malformed": float(malformed)},
    },
    counts,
    counts,
    counts,
)


@given(faulty, faulty, st.sampled_from(UNANSWERED), st.integers(0, 1))
def test_no_answer_never_pays_and_a_hit_always_does(mine: dict, other: dict, ending: Ending, there: int) -> None:
    right = (ABSENT, replace(FOUND, cut=Cut((mask(10, 21),), (TRUE,))))[there]
    none = value(replace(right, ending=ending, cut=None, **mine))
    assert -0.5 <= none < 0 < value(replace(right, **other)) <= 1


def test_without_a_segmenter_boxes_are_compared() -> None:
    boxes = replace(FOUND, cut=None, boxes=((100, 250, 300, 750),))
    assert value(boxes) == pytest.approx(1)
    assert value(replace(boxes, boxes=((100, 250, 220, 750),))) == pytest.approx(0.6 * 0.6 + 0.4)
    assert value(replace(boxes, boxes=())) == value(replace(boxes, keyframe=5)) == 0


def test_boxes_and_ending_are_read_from_the_last_turn_where_they_are_not_given() -> None:
    answer = '<answer> {"bbox_2d": [100, 250, 300, 750], "point_2d": [200, 500]} </answer>'
    said = replace(FOUND, cut=None, ending="", turns=(PlayTurn("policy", f"<thinking> a </thinking>{answer}"),))
    assert value(said) == pytest.approx(1)
    for role, text in [("observation", answer), ("policy", f"<thinking>{answer}</thinking>"), ("policy", "hm")]:
        assert value(replace(said, turns=(PlayTurn(role, text),))) == pytest.approx(-0.1)
    none = PlayTurn("policy", '<answer>{"bbox_2d": [0, 0, 0, 0], "point_2d": [0, 0]}</answer>')
    assert value(replace(ABSENT, ending="", turns=(none,))) == pytest.approx(1)


def test_settings_are_the_weights() -> None:
    shares = ("mask", "hit", "keyframe", "process")
    assert sum(getattr(SegscoutSettings(), name) for name in shares) == pytest.approx(1)
    assert len(fields(SegscoutSettings)) == 9
    dear = Segscout(SegscoutSettings(wasted_search=0.2, max_faults=1))
    assert total(dear, dear.components(replace(FOUND, searches=9))) == pytest.approx(0.8)
