"""When answers tie, by hand-made answers whose agreement is plain to see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.candidates import Placed, agree, overlap, sort_answers

LEFT, RIGHT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.1, 0.8, 0.3)
NEAR_LEFT = (0.12, 0.1, 0.32, 0.3)


def placed(*boxes, frame: int | None = 0) -> Placed:
    return Placed(str(boxes), frame, boxes)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (placed(LEFT), placed(NEAR_LEFT), True),
        (placed(LEFT), placed(RIGHT), False),
        (placed(LEFT), placed(LEFT, frame=1), False),
        (placed(LEFT, RIGHT), placed(RIGHT, NEAR_LEFT), True),
        (placed(LEFT, LEFT), placed(LEFT, RIGHT), False),
        (placed(LEFT), placed(LEFT, RIGHT), False),
        (placed(frame=None), placed(frame=None), True),
        (placed(frame=None), placed(LEFT), False),
    ],
)
def test_answers_agree_if_they_point_at_the_same_objects(one, other, same):
    assert agree(one, other, 0.5) is same
    assert agree(other, one, 0.5) is same


def test_groups_keep_the_order_of_their_first_answer_and_count_all():
    answers = [placed(LEFT), placed(RIGHT), placed(NEAR_LEFT), placed(frame=None), placed(RIGHT)]
    assert [(group.boxes, votes) for group, votes in sort_answers(answers, 0.5)] == [
        ((LEFT,), 2), ((RIGHT,), 2), ((), 1),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_overlap_is_the_share_of_common_cells(sides):
    x1, x2, x3, x4, y1, y2, y3, y4 = sides
    one, other = (
        (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)),
        (min(x3, x4), min(y3, y4), max(x3, x4), max(y3, y4)),
    )

    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    union = cells(one) | cells(other)
    expected = len(cells(one) & cells(other)) / len(union) if union else 0.0
    assert overlap(one, other) == pytest.approx(expected)
