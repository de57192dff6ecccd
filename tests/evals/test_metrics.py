"""Metrics against slow, independent oracles, on random and on degenerate masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation

from evals.metrics.boundary import boundary_f, boundary_of, tolerance_pixels
from evals.metrics.clips import score_clip
from evals.metrics.intervals import bootstrap_mean, bootstrap_sums, wilson
from evals.metrics.overlap import box_iou, mask_iou


def slow_iou(one, other) -> float:
    inside_one = {(y, x) for y, row in enumerate(one) for x, v in enumerate(row) if v}
    inside_other = {(y, x) for y, row in enumerate(other) for x, v in enumerate(row) if v}
    either = inside_one | inside_other
    return len(inside_one & inside_other) / len(either) if either else 1.0


def slow_boundary(mask) -> np.ndarray:
    """DAVIS's seg2bmap at the same size, written out with shifted copies whose far edge is repeated."""
    seg = np.asarray(mask).astype(bool)
    east, south, southeast = np.zeros_like(seg), np.zeros_like(seg), np.zeros_like(seg)
    east[:, :-1] = seg[:, 1:]
    south[:-1] = seg[1:]
    southeast[:-1, :-1] = seg[1:, 1:]
    edge = seg ^ east | seg ^ south | seg ^ southeast
    edge[-1] = seg[-1] ^ east[-1]
    edge[:, -1] = seg[:, -1] ^ south[:, -1]
    edge[-1, -1] = False
    return edge


def slow_f(predicted, truth, radius: int) -> float:
    ours, theirs = slow_boundary(predicted), slow_boundary(truth)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = x * x + y * y <= radius * radius
    if not ours.any() and not theirs.any():
        return float(np.asarray(predicted, bool)[0, 0] == np.asarray(truth, bool)[0, 0])
    if not ours.any() or not theirs.any():
        return 0.0
    precision = (ours & binary_dilation(theirs, disk)).sum() / ours.sum()
    recall = (theirs & binary_dilation(ours, disk)).sum() / theirs.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def blob(rng, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    for _ in range(int(rng.integers(1, 4))):
        y, x = np.mgrid[:height, :width]
        cy, cx, ry, rx = rng.uniform(-5, height + 5), rng.uniform(-5, width + 5), *rng.uniform(1, height / 2, 2)
        mask |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return mask & (rng.random((height, width)) > rng.choice([0.0, 0.02, 0.3]))


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        size = int(rng.integers(3, 40)), int(rng.integers(3, 60))
        one = blob(rng, *size)
        near = np.roll(one, rng.integers(-3, 4, 2), (0, 1))
        found.append((one, near if rng.random() < 0.6 else blob(rng, *size)))
    empty, full, dot, row = (np.zeros((9, 13), bool) for _ in range(4))
    full[:], dot[4, 5], row[0] = True, True, True
    corner = np.zeros_like(dot)
    corner[-1, -1] = True
    shapes = (empty, full, dot, row, corner, row.T[:9, :13] if row.T.shape == row.shape else ~dot)
    return found + [(a, b) for a in shapes for b in shapes]


@pytest.mark.parametrize("tolerance", [0, 1, 2, 5])
def test_f_is_that_of_the_slow_oracle(tolerance: int) -> None:
    for one, other in pairs():
        assert boundary_f(one, other, tolerance=tolerance) == pytest.approx(slow_f(one, other, tolerance), abs=1e-9)


def test_boundaries_are_those_of_davis() -> None:
    for one, _ in pairs():
        assert np.array_equal(boundary_of(one), slow_boundary(one))


def test_iou_is_that_of_sets_whatever_the_type() -> None:
    for one, other in pairs():
        expected = slow_iou(one, other)
        assert mask_iou(one, other) == pytest.approx(expected, abs=1e-12)
        assert mask_iou(one.astype(np.uint8), other.astype(np.uint8) * 255) == pytest.approx(expected, abs=1e-12)
        assert boundary_f(one * np.uint8(255), other.astype(int)) == boundary_f(one, other)


def test_degenerate_masks() -> None:
    empty, full = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    some = empty.copy()
    some[5:9, 5:9] = True
    assert mask_iou(empty, empty) == boundary_f(empty, empty) == 1
    assert mask_iou(full, full) == boundary_f(full, full) == 1
    for one, other in ((empty, full), (empty, some), (full, empty)):
        assert mask_iou(one, other) == boundary_f(one, other) == boundary_f(other, one) == 0
    with pytest.raises(ValueError, match="different shapes"):
        mask_iou(empty, empty.T)
    with pytest.raises(ValueError, match="different shapes"):
        boundary_f(empty, empty.T)
    with pytest.raises(ValueError, match="two axes"):
        mask_iou(np.zeros((2, 2, 1)), np.zeros((2, 2, 1)))


def test_tolerance_is_that_of_davis() -> None:
    assert tolerance_pixels(480, 854) == math.ceil(0.008 * np.linalg.norm((480, 854))) == 8
    assert tolerance_pixels(448, 448) == 6


def test_a_clip_is_the_mean_of_its_frames() -> None:
    rng = np.random.default_rng(1)
    frames = [(blob(rng, 40, 40), blob(rng, 40, 40)) for _ in range(5)]
    score = score_clip(frames)
    assert score.j == pytest.approx(np.mean([mask_iou(a, b) for a, b in frames]))
    assert score.f == pytest.approx(np.mean([boundary_f(a, b) for a, b in frames]))
    assert score.j_and_f == pytest.approx((score.j + score.f) / 2)
    with pytest.raises(ValueError, match="without frames"):
        score_clip([])


def test_box_iou() -> None:
    assert box_iou((0, 0, 4, 4), (0, 0, 4, 4)) == 1
    assert box_iou((0, 0, 4, 4), (2, 2, 6, 6)) == pytest.approx(4 / 28)
    assert box_iou((0, 0, 4, 4), (4, 0, 6, 6)) == box_iou((1, 1, 1, 1), (1, 1, 1, 1)) == 0


def test_wilson_solves_its_equation_and_covers() -> None:
    for successes, n in ((0, 10), (1, 10), (7, 10), (10, 10), (471, 500)):
        low, high = wilson(successes, n)
        assert 0 <= low <= successes / n <= high <= 1
        for end in {low, high} - {0.0, 1.0}:  # |p - end| = z * sqrt(end (1 - end) / n)
            distance = 1.959963984540054 * math.sqrt(end * (1 - end) / n)
            assert abs(successes / n - end) == pytest.approx(distance, rel=1e-9)
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="11 successes of 10"):
        wilson(11, 10)
    rng = np.random.default_rng(0)
    inside = [low <= 0.9 <= high for low, high in (wilson(int(k), 1000) for k in rng.binomial(1000, 0.9, 2000))]
    assert 0.93 < np.mean(inside) < 0.97


def test_bootstrap_is_seeded_and_about_normal() -> None:
    values = list(np.random.default_rng(0).normal(5, 2, 400))
    low, high = bootstrap_mean(values, seed=1)
    assert (low, high) == bootstrap_mean(values, seed=1)
    half = 1.96 * np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - half, abs=0.04)
    assert high == pytest.approx(np.mean(values) + half, abs=0.04)
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean([])


def ratio(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def test_bootstrap_of_sums_is_that_of_resampled_lists() -> None:
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 50, (60, 2)).astype(float)
    parts[:, 1] += parts[:, 0] + 1
    low, high = bootstrap_sums(parts, ratio, resamples=4000)
    assert (low, high) == bootstrap_sums(parts, ratio, resamples=4000)
    ratios = []
    for _ in range(4000):
        drawn = [parts[i] for i in rng.integers(60, size=60)]
        ratios.append(sum(part[0] for part in drawn) / sum(part[1] for part in drawn))
    assert (low, high) == pytest.approx(np.percentile(ratios, (2.5, 97.5)), abs=0.006)
    # A mean is a ratio of sums too.
    values = rng.normal(5, 2, 400)
    interval = bootstrap_sums(np.stack([values, np.ones(400)], axis=1), ratio, resamples=4000)
    assert interval == pytest.approx(bootstrap_mean(values, resamples=4000), abs=0.03)


def test_bootstrap_of_sums_covers() -> None:
    rng = np.random.default_rng(2)
    inside = 0
    for trial in range(200):
        size = rng.exponential(1, 80)
        hits = size * (rng.random(80) < 0.7)
        low, high = bootstrap_sums(np.stack([hits, size], axis=1), ratio, seed=trial, resamples=400)
        inside += low <= 0.7 <= high
    assert 0.88 < inside / 200 < 0.98


def test_bootstrap_of_sums_keeps_shapes_and_leaves_out_what_has_no_value() -> None:
    def first_of_two(sums: np.ndarray) -> np.ndarray:
        assert sums.shape[1:] == (2, 3)
        total = sums[:, 1].sum(axis=1)
        return np.divide(sums[:, 0].sum(axis=1), total, out=np.full(len(sums), np.nan), where=total > 0)

    one, none = np.stack([np.ones((2, 3)), np.zeros((2, 3))])
    assert bootstrap_sums(np.stack([one, none, none]), first_of_two) == (1, 1)
    with pytest.raises(ValueError, match="no resample has a value"):
        bootstrap_sums(np.stack([none, none]), first_of_two)
    with pytest.raises(ValueError, match="no samples"):
        bootstrap_sums(np.zeros((0, 2)), ratio)


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
mask_pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


@settings(deadline=None)
@given(mask_pairs)
def test_overlap_and_boundary_are_symmetric_shares_of_any_type(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = pair
    for measure in (mask_iou, boundary_f):
        value = measure(one, other)
        assert 0 <= value <= 1
        assert measure(other, one) == pytest.approx(value)
        assert measure(one, one) == 1
        assert measure(one * np.uint8(255), other.astype(np.uint8)) == value
