"""gIoU and cIoU against sets of pixels, and the rules of published evaluations."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from saliency_oracle import degenerate_masks, random_pairs

from evals.metrics.referring import Overlap, ReferringScore, count_overlap, score_referring, split_ignored

EMPTY, FULL, HALF = (degenerate_masks()[name] for name in ("empty", "full", "half"))


def pixels(mask: np.ndarray) -> set[tuple[int, int]]:
    return {(y, x) for y, row in enumerate(mask.tolist()) for x, inside in enumerate(row) if inside}


def score(*pairs: tuple[np.ndarray | None, np.ndarray], empty_union: float = 1.0) -> ReferringScore:
    return score_referring([count_overlap(*pair) for pair in pairs], empty_union=empty_union)


def test_random_and_degenerate_pairs_are_counted_as_sets_are() -> None:
    masks = list(degenerate_masks().values())
    pairs = [(levels > 127, truth) for levels, truth in random_pairs()] + [(a, b) for a in masks for b in masks]
    found = [count_overlap(*pair) for pair in pairs]
    sets = [(pixels(a), pixels(b)) for a, b in pairs]
    assert [(o.intersection, o.union) for o in found] == [(len(a & b), len(a | b)) for a, b in sets]
    together = score_referring(found)
    # LISA's definition: an empty union is a 1.
    assert together.giou == pytest.approx(
        np.mean([len(a & b) / len(a | b) if a | b else 1 for a, b in sets]), abs=1e-12
    )
    assert together.ciou == pytest.approx(
        sum(len(a & b) for a, b in sets) / sum(len(a | b) for a, b in sets), abs=1e-12
    )
    for kind in (np.uint8(1), np.uint8(255), 1):
        assert [count_overlap(a * kind, b * kind) for a, b in pairs] == found


def test_ciou_weighs_by_size() -> None:
    large, small = (FULL, FULL), (EMPTY, degenerate_masks()["dot"])
    both = score(large, small)
    assert both.giou == 0.5
    assert both.ciou == FULL.size / (FULL.size + 1)


def test_a_failure_is_a_zero_with_the_whole_truth_as_union() -> None:
    # Seg-Zero's golden rule: a reply that cannot be parsed has I = 0 and U = |truth|.
    assert count_overlap(None, HALF) == Overlap(0, int(HALF.sum()), failed=True)
    mixed = score((HALF, HALF), (None, HALF))
    assert (mixed.n, mixed.failures, mixed.giou, mixed.ciou) == (2, 1, 0.5, 0.5)
    # A failure is no answer "absent", even where that would have been right.
    nothing = score((None, EMPTY))
    assert (nothing.giou, nothing.ciou) == (0, 0)
    assert score((HALF, HALF), (None, EMPTY)).giou == 0.5


@pytest.mark.parametrize(("empty_union", "giou"), [(1.0, 2 / 3), (0.0, 1 / 3)])
def test_two_empty_masks_are_as_the_rule_says(empty_union: float, giou: float) -> None:
    # 1 in LISA, 0 in VisionReasoner and Seg-R1; an invented mask is 0 in all.
    found = score((EMPTY, EMPTY), (HALF, EMPTY), (HALF, HALF), empty_union=empty_union)
    assert found.giou == pytest.approx(giou)
    assert found.ciou == pytest.approx(0.5)
    assert score((EMPTY, EMPTY), empty_union=empty_union).ciou == empty_union


def test_ignored_pixels_do_not_count() -> None:
    labels = HALF.astype(np.uint8)
    labels[:, 4:8] = 255
    truth, ignored = split_ignored(labels)
    assert np.array_equal(truth, HALF & (np.arange(13) < 4))
    assert np.array_equal(ignored, np.isin(np.arange(13), range(4, 8))[None].repeat(9, axis=0))
    # The prediction reaches through the ignored columns and two columns beyond.
    predicted = FULL & (np.arange(13) < 10)
    assert count_overlap(predicted, truth, ignored) == Overlap(9 * 4, 9 * 6)
    assert count_overlap(None, HALF, ignored) == Overlap(0, 9 * 4, failed=True)
    # Seg-Zero's data make them object, Seg-R1's background.
    assert count_overlap(predicted, truth | ignored).iou() == pytest.approx(0.8)
    assert count_overlap(predicted, truth).iou() == pytest.approx(0.4)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        count_overlap(HALF, HALF.T)
    with pytest.raises(ValueError, match="ignored pixels of different shapes"):
        count_overlap(HALF, HALF, HALF.T)
    with pytest.raises(ValueError, match="go from 0 to 7"):
        split_ignored(HALF * np.uint8(7))
    with pytest.raises(ValueError, match="no samples"):
        score_referring([])


counts = st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()).map(
    lambda row: Overlap(0 if row[2] else min(row[:2]), max(row[:2]), failed=row[2])
)


@settings(deadline=None, max_examples=40)
@given(st.lists(counts, min_size=1, max_size=12), st.randoms())
def test_bounds_order_and_failures(samples: list[Overlap], random) -> None:
    before = score_referring(samples)
    for low, high, value in ((*before.giou_ci95, before.giou), (*before.ciou_ci95, before.ciou)):
        assert 0 <= low <= high <= 1
        assert 0 <= value <= 1
    shuffled = random.sample(samples, len(samples))
    after = score_referring(shuffled)
    assert (after.giou, after.ciou, after.failures) == pytest.approx((before.giou, before.ciou, before.failures))
    worse = [replace(samples[0], intersection=0, failed=True), *samples[1:]]
    assert score_referring(worse).giou <= before.giou + 1e-12


@settings(deadline=None)
@given(st.integers(1, 8).flatmap(lambda n: st.tuples(arrays(bool, (n, 5)), arrays(bool, (n, 5)), arrays(bool, (n, 5)))))
def test_overlap_is_symmetric_and_blind_to_ignored_pixels(masks: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    predicted, truth, ignored = masks
    found = count_overlap(predicted, truth, ignored)
    assert found == count_overlap(truth, predicted, ignored)
    assert found == count_overlap(predicted ^ ignored, truth, ignored)
    assert found == count_overlap(predicted & ~ignored, truth & ~ignored)
