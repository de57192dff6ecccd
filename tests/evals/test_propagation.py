"""J&F through clips: seeded cases, the ceiling, and a baseline that does not move."""

from collections.abc import Iterator

import numpy as np
import pytest

from evals.emblems.exact import ExactSegmenter
from evals.emblems.sprites import SHAPES
from evals.propagation import ClipCase, clip_cases, clip_table, follow
from evals.segmenters import FilledBox
from evals.speed.emblems import measure
from tools.segmenters.base import Segment
from tools.segmenters.prompts import box_of


@pytest.fixture(scope="module")
def cases() -> list[ClipCase]:
    return list(clip_cases(10, seed=2, jitter=6))


def test_cases_are_seeded_and_their_boxes_are_near_the_truth(cases: list[ClipCase]) -> None:
    again = list(clip_cases(10, seed=2, jitter=6))
    assert [case.box for case in cases] == [case.box for case in again]
    assert [case.kind for case in cases] == list(SHAPES)
    for case in cases:
        true_box = box_of(case.clip.again().mask(case.keyframe, case.mover))
        assert np.abs(np.array(case.box) - true_box).max() <= 6
        assert case.clip.movers[case.mover].emblem.shape == case.kind


def test_exact_masks_are_the_ceiling_and_missing_frames_count_as_empty(cases: list[ClipCase]) -> None:
    class Lazy(ExactSegmenter):
        def propagate(self, frames, prompts, keyframe) -> Iterator[tuple[int, list[Segment]]]:
            yield from list(super().propagate(frames, prompts, keyframe))[:8]

    scores = [follow(ExactSegmenter(case.clip.again()), case).j_and_f for case in cases]
    assert np.mean(scores) > 0.95
    half = [follow(Lazy(case.clip.again()), case).j for case in cases]
    assert np.mean(half) < 0.6


def test_the_table_of_a_baseline(cases: list[ClipCase]) -> None:
    table = clip_table(FilledBox(), cases)
    assert table["n"] == 10
    assert 0.05 < table["j_and_f"] < 0.5  # type: ignore[operator]


def test_the_speed_of_emblems_is_measured() -> None:
    report = measure(20)
    assert report["clips_per_second"] > 30
    assert set(report) >= {"frames_per_second", "tasks_per_second", "search_ms"}
