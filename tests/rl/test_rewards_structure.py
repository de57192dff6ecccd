"""S-measure against the paper's formulas, written out pixel by pixel for soft maps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evals.metrics.structure import structure_measure


def slow_object(x: np.ndarray) -> float:
    sd = x.std(ddof=1) if len(x) > 1 else 0.0
    return 2 * x.mean() / (x.mean() ** 2 + 1 + sd)


def slow_ssim(p: np.ndarray, g: np.ndarray) -> float:
    n = max(p.size - 1, 1)
    x, y = p.mean(), g.mean()
    vx, vy = ((p - x) ** 2).sum() / n, ((g - y) ** 2).sum() / n
    vxy = ((p - x) * (g - y)).sum() / n
    above, below = 4 * x * y * vxy, (x * x + y * y) * (vx + vy)
    if abs(above) > 1e-15:
        return above / below
    return 1.0 if below < 1e-15 else 0.0


def slow_structure(predicted: np.ndarray, truth: np.ndarray) -> float:
    p, g = predicted.astype(float), truth.astype(float)
    if not truth.any():
        return 1 - p.mean()
    if truth.all():
        return p.mean()
    u = g.mean()
    on_object = u * slow_object(p[truth]) + (1 - u) * slow_object(1 - p[~truth])
    y, x = (round(float(c)) + 1 for c in np.argwhere(truth).mean(axis=0))
    on_region = sum(
        p[part].size / p.size * slow_ssim(p[part], g[part])
        for part in (np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:])
        if p[part].size
    )
    return min(max(0.5 * on_object + 0.5 * on_region, 0.0), 1.0)


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
pairs = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


@given(pairs)
def test_counts_give_what_pixels_give(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert structure_measure(*pair) == pytest.approx(slow_structure(*pair), abs=1e-9)


@given(pairs)
def test_a_mask_is_most_like_itself(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = pair
    assert structure_measure(truth, truth) == pytest.approx(1)
    assert 0 <= structure_measure(predicted, truth) <= 1


def test_golden_values() -> None:
    # A third of a 768 x 768 picture, as in specs/seg-r1.md; the released reward sees 0.681, 1.000 and 0.000 here.
    truth = np.zeros((768, 768), bool)
    truth[200:600, 200:670] = True
    half = truth.copy()
    half[400:] = False
    assert structure_measure(truth, truth) == pytest.approx(1, abs=5e-4)
    assert structure_measure(np.zeros_like(truth), truth) == pytest.approx(0.341, abs=5e-4)
    assert structure_measure(np.ones_like(truth), truth) == pytest.approx(0.159, abs=5e-4)
    assert 0.7 * 0.5 + 0.3 * structure_measure(half, truth) == pytest.approx(0.558, abs=5e-4)


def test_zero_one_and_255_mean_the_same() -> None:
    rng = np.random.default_rng(0)
    predicted, truth = rng.random((2, 20, 30)) > 0.6
    expected = structure_measure(predicted, truth)
    assert structure_measure(predicted.astype(np.uint8) * 255, truth.astype(np.uint8)) == expected


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        structure_measure(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="shapes"):
        structure_measure(np.zeros((0, 3), bool), np.zeros((0, 3), bool))
