"""Metrics of soft maps against the recorded numbers of pysodmetrics, on random and on degenerate pairs."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from saliency_oracle import NAMES, RECORDED, SHAPE, degenerate_masks, degenerate_pairs, digest, random_pairs

from evals.metrics.e_measure import e_measure
from evals.metrics.f_measure import f_measure
from evals.metrics.mae import mean_absolute_error
from evals.metrics.maps import as_object, count_levels
from evals.metrics.soft_structure import soft_structure_measure
from evals.metrics.structure import structure_measure
from evals.metrics.thresholds import mean_scores
from evals.metrics.weighted_f_measure import weighted_f_measure

recorded = json.loads(RECORDED.read_text())
EMPTY, FULL, DOT = (degenerate_masks()[name] for name in ("empty", "full", "dot"))


def ours(predicted: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    e, f = e_measure(predicted, truth), f_measure(predicted, truth)
    return {
        "mae": mean_absolute_error(predicted, truth),
        "s": soft_structure_measure(predicted, truth),
        **{f"e_{name}": getattr(e, name) for name in ("adaptive", "mean", "max")},
        **{f"f_{name}": getattr(f, name) for name in ("adaptive", "mean", "max")},
        "weighted_f": weighted_f_measure(predicted, truth),
    }


def flat_s(value: float, truth: np.ndarray) -> float:
    """S of a flat map by hand: no spread anywhere, so a quadrant scores 1 if its truth is even, else 0."""
    share = truth.mean()
    on_object = share * 2 * value / (value**2 + 1) + (1 - share) * 2 * (1 - value) / ((1 - value) ** 2 + 1)
    y, x = (round(float(c)) + 1 for c in np.argwhere(truth).mean(axis=0))
    parts = (truth[:y, :x], truth[:y, x:], truth[y:, :x], truth[y:, x:])
    return (on_object + sum(part.size for part in parts if part.size and part.all() == part.any()) / truth.size) / 2


def test_the_pairs_are_those_that_were_recorded() -> None:
    assert digest() == recorded["digest"], "numpy draws other pairs: record anew, see saliency_oracle"


def test_random_pairs_score_as_in_pysodmetrics() -> None:
    assert len(recorded["random"]) == 200
    for pair, row in zip(random_pairs(), recorded["random"], strict=True):
        theirs = {name: value for name, value in zip(NAMES, row, strict=True) if value is not None}
        mine = ours(*pair)
        assert {name: mine[name] for name in theirs} == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("name", degenerate_pairs())
def test_degenerate_pairs_differ_from_pysodmetrics_on_purpose_only(name: str) -> None:
    levels, truth = degenerate_pairs()[name]
    expected = dict(zip(NAMES, recorded["degenerate"][name], strict=True))
    mine = ours(levels, truth)
    guess, there = name.split("/")
    if guess == "grey" and there not in ("empty", "full"):
        # A flat map: rounding gives theirs a spread, and so 0 for quadrants in which truth and map are both even.
        expected["s"] = flat_s(100 / 255, truth)
    elif there in ("corner", "column"):
        # The object's centroid is in the last column: a quadrant without pixels makes theirs not a number.
        assert expected.pop("s") is None
        del mine["s"]
    if guess == "empty":
        # Nothing is predicted, theirs selects everything; E then is tested below.
        expected["f_adaptive"] = float(there == "empty")
        expected["e_adaptive"] = mine["e_adaptive"]
    if there == "empty":
        # Nothing is there: a threshold that selects nothing is right, theirs is 0 at all of them.
        right = {"empty": 255 / 256, "grey": 155 / 256}.get(guess, 0.0)
        expected.update(f_mean=right, f_max=float(right > 0), f_adaptive=float(right > 0))
        expected["weighted_f"] = float(guess == "empty")
    assert mine == pytest.approx(expected, abs=1e-6)


def test_an_empty_map_aligns_with_nothing_at_the_adaptive_threshold() -> None:
    assert e_measure(EMPTY, EMPTY).adaptive == 1
    assert e_measure(EMPTY, FULL).adaptive == 0
    # Every pixel is off the mean by nothing: a quarter each, over one pixel less.
    assert e_measure(EMPTY, DOT).adaptive == pytest.approx(EMPTY.size / 4 / (EMPTY.size - 1))


def test_a_soft_s_is_finite_where_a_quadrant_has_no_pixels() -> None:
    masks = degenerate_masks()
    for name in ("corner", "row", "column"):
        assert soft_structure_measure(masks[name], masks[name]) == pytest.approx(1)


def test_a_flat_map_has_no_spread_whatever_rounding_says() -> None:
    masks = degenerate_masks()
    for level in range(2, 255):
        for name in ("dot", "row", "hole", "half"):
            found = soft_structure_measure(np.full(SHAPE, level, np.uint8), masks[name])
            assert found == pytest.approx(flat_s(level / 255, masks[name])), (level, name)


def test_grey_edges_of_a_truth_are_cut_above_128() -> None:
    truth = DOT * np.uint8(255)
    truth[0, :2] = 128, 129
    assert np.argwhere(as_object(truth)).tolist() == [[0, 1], [4, 6]]
    assert np.array_equal(as_object(truth / 255), as_object(truth))


def test_types_do_not_matter_and_no_truth_reads_as_empty() -> None:
    truth = np.zeros((768, 768), bool)
    truth[200:600, 200:670] = True
    for picture in (truth, truth.astype(np.uint8), truth * np.uint8(255), truth.astype(int), truth.astype(np.float32)):
        perfect = ours(picture, picture)
        # A 0/1 truth in the library itself: S about 0.68, weighted F 0, MAE a third.
        assert perfect["mae"] == 0
        assert perfect["s"] == pytest.approx(1)
        assert perfect["weighted_f"] == perfect["f_max"] == perfect["e_max"] == pytest.approx(1)
    soft = random_pairs()[0][0]
    assert (
        ours(soft, soft > 99)
        == ours(soft / 255, (soft > 99) * np.uint8(255))
        == ours(soft / np.float32(255), soft > 99)
    )


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        (DOT * np.uint8(38), "38 at most"),
        (DOT * np.float64(0.2), "51 at most"),
        (DOT * 300, "goes from 0 to 300"),
        (DOT * -1, "goes from -1"),
        (DOT * np.nan, "goes from nan"),
        (DOT * 1.5, r"to 1\.5"),
        (DOT[None], "different shapes"),
        (DOT.T, "different shapes"),
    ],
)
def test_what_could_be_misread_is_refused(truth: np.ndarray, reason: str) -> None:
    for measure in (mean_absolute_error, soft_structure_measure, e_measure, f_measure, weighted_f_measure):
        with pytest.raises(ValueError, match=reason):
            measure(DOT, truth)


def test_a_map_has_two_axes_and_pixels() -> None:
    for picture in (DOT[None], DOT[:0]):
        with pytest.raises(ValueError, match="two axes and pixels"):
            mean_absolute_error(picture, picture)


def test_large_pictures_are_counted_exactly() -> None:
    # More pixels of one level than a 32-bit float can count, and an odd number of them.
    levels = np.zeros((4097, 4099), np.uint8)
    counts = count_levels(levels, levels)
    assert counts.pixels == counts.outside[0] == 4097 * 4099
    assert counts.area == 0


def test_f_is_precision_and_recall() -> None:
    for levels, truth in random_pairs()[:40]:
        curve = f_measure(levels, truth).curve
        stretched = np.interp(levels, (levels.min(), levels.max()), (0, 1)) if np.ptp(levels) else levels / 255
        for threshold in (40, 128, 255):
            selected = stretched * 255 + 1e-9 >= threshold
            both = (selected & truth).sum()
            precision, recall = both / max(selected.sum(), 1), both / truth.sum()
            score = 1.3 * precision * recall / (0.3 * precision + recall) if both else 0.0
            assert curve[threshold] == pytest.approx(score, abs=1e-9)


def test_pictures_are_averaged_before_the_best_threshold_is_taken() -> None:
    rng = np.random.default_rng(0)
    pictures = [f_measure(rng.random(SHAPE), rng.random(SHAPE) < 0.4) for _ in range(4)]
    together = mean_scores(pictures)
    assert together.max == pytest.approx(max(np.mean([p.curve[t] for p in pictures]) for t in range(256)))
    assert together.max < np.mean([p.max for p in pictures])
    assert together.mean == pytest.approx(np.mean([p.mean for p in pictures]))
    assert together.adaptive == pytest.approx(np.mean([p.adaptive for p in pictures]))
    with pytest.raises(ValueError, match="no pictures"):
        mean_scores([])


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
soft_pairs = shapes.flatmap(lambda shape: st.tuples(arrays(np.uint8, shape), arrays(bool, shape)))
masks = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


@settings(deadline=None, max_examples=50)
@given(soft_pairs)
def test_all_scores_are_shares(pair: tuple[np.ndarray, np.ndarray]) -> None:
    for name, score in ours(*pair).items():
        assert -1e-12 <= score <= 1 + 1e-12, name


@settings(deadline=None, max_examples=50)
@given(masks)
def test_masks_score_the_same_in_every_type(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = pair
    expected = ours(predicted, truth)
    assert ours(predicted * np.uint8(255), truth.astype(np.uint8)) == expected
    assert ours(predicted.astype(np.int64), truth * 255) == expected
    assert expected["s"] == pytest.approx(structure_measure(predicted, truth), abs=1e-9)


def test_the_s_of_masks_is_that_of_maps_on_every_pair_and_in_every_type() -> None:
    several = list(degenerate_masks().values())
    pairs = [(levels > 127, truth) for levels, truth in random_pairs()] + [(a, b) for a in several for b in several]
    for one, other in pairs:
        expected = structure_measure(one, other)
        assert expected == pytest.approx(soft_structure_measure(one, other), abs=1e-9)
        assert structure_measure(one.astype(np.uint8), other * np.uint8(255)) == expected
        assert structure_measure(one * 255.0, other.astype(np.int64)) == expected


@settings(deadline=None, max_examples=50)
@given(masks)
def test_a_mask_is_its_own_best_map(pair: tuple[np.ndarray, np.ndarray]) -> None:
    _, truth = pair
    scores = ours(truth, truth)
    assert scores["mae"] == 0
    assert scores["s"] == pytest.approx(1)
    assert scores["weighted_f"] == pytest.approx(1)
    assert scores["f_adaptive"] == scores["f_max"] == 1
    assert scores["e_adaptive"] == pytest.approx(1)
    assert math.isclose(scores["e_max"], 1)


@settings(deadline=None, max_examples=50)
@given(soft_pairs, st.randoms())
def test_e_f_and_mae_do_not_look_at_places(pair: tuple[np.ndarray, np.ndarray], random) -> None:
    predicted, truth = pair
    order = random.sample(range(truth.size), truth.size)
    mixed = ours(*(side.ravel()[order].reshape(truth.shape) for side in pair))
    for name, score in ours(predicted, truth).items():
        if name not in ("s", "weighted_f"):
            assert mixed[name] == pytest.approx(score)


@settings(deadline=None, max_examples=50)
@given(soft_pairs)
def test_weighted_f_is_the_same_in_a_mirror_where_no_neighbours_tie(pair: tuple[np.ndarray, np.ndarray]) -> None:
    predicted, truth = pair
    alone = np.zeros_like(truth)
    alone.flat[truth.argmax()] = True  # one object pixel: the nearest one is never in doubt
    mirrored = weighted_f_measure(predicted[:, ::-1], alone[:, ::-1])
    assert mirrored == pytest.approx(weighted_f_measure(predicted, alone), abs=1e-9)
