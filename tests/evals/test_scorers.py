"""Scorers of pictures against whole curves and counts by hand."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from saliency_oracle import degenerate_masks

from evals.benchmarks.base import Measure, Row
from evals.benchmarks.scorers.boxes import BoxScorer
from evals.benchmarks.scorers.generalized import GeneralizedScorer
from evals.benchmarks.scorers.referring import ReferringScorer
from evals.benchmarks.scorers.saliency import SaliencyScorer
from evals.datasets.base import Sample, on_picture
from evals.metrics.e_measure import e_measure
from evals.metrics.f_measure import f_measure
from evals.metrics.intervals import bootstrap_mean, wilson
from evals.metrics.soft_structure import soft_structure_measure
from evals.metrics.thresholds import ThresholdScores, mean_scores
from evals.metrics.weighted_f_measure import weighted_f_measure
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Instance, Usage
from graphs.masks import MaskStore
from tools.image_store import ImageStore

SHAPE = (9, 13)
MASKS = degenerate_masks()
NOTHING = ThresholdScores(np.zeros(256), 0.0)
Pair = tuple[np.ndarray | None, np.ndarray]


def answered(mask: np.ndarray | None) -> EpisodeResult:
    """An episode that answered with a mask: "absent" if it is empty, and nothing at all for None."""
    ending = Ending.TURNS_SPENT if mask is None else Ending.FOUND if mask.any() else Ending.ABSENT
    masks = MaskStore()
    found = ending is Ending.FOUND
    if found:
        masks.put(0, [mask])
    return EpisodeResult(
        "x", ending, None, 0 if found else None, (Instance("", None, (), (), 1.0),) * found, masks, (), (),
        ImageStore(), Usage(1, 0, 0, 0, 0, 0, 0, {}),
    )  # fmt: skip


def sample(truth: np.ndarray) -> Sample:
    return Sample("x", "x", [np.zeros((*truth.shape, 3), np.uint8)], on_picture(truth))


def rows(scorer: SaliencyScorer | GeneralizedScorer | ReferringScorer, pairs: list[Pair]) -> list[Row]:
    scored = [scorer.score(sample(truth), answered(ours)) for ours, truth in pairs]
    return [Row(index=i, id=str(i), score=score, scores=scores) for i, (score, scores) in enumerate(scored)]


def by_name(measures: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


def from_curves(pairs: list[Pair]) -> dict[str, float]:
    """Every measure from whole curves of 256 thresholds, averaged before mean and maximum are taken."""
    e, f = (
        mean_scores([NOTHING if ours is None else measure(ours * np.uint8(255), truth) for ours, truth in pairs])
        for measure in (e_measure, f_measure)
    )
    return {
        "S": np.mean([0 if a is None else soft_structure_measure(a, b) for a, b in pairs]),
        "mean E": e.mean,
        "max E": e.max,
        "adaptive F": f.adaptive,
        "mean F": f.mean,
        "max F": f.max,
        "weighted F": np.mean([0 if a is None else weighted_f_measure(a, b) for a, b in pairs]),
        "MAE": np.mean([1 if a is None else (a != b).mean() for a, b in pairs]),
        "mean IoU": np.mean(
            [0 if a is None else 1 if not (a | b).any() else (a & b).sum() / (a | b).sum() for a, b in pairs]
        ),
    }


shape = st.tuples(st.integers(1, 7), st.integers(1, 7))
pair = shape.flatmap(lambda one: st.tuples(st.none() | arrays(bool, one), arrays(bool, one)))


@settings(deadline=None, max_examples=60)
@given(st.lists(pair, min_size=1, max_size=6))
def test_two_numbers_a_picture_are_its_whole_curve(pairs: list[Pair]) -> None:
    found = SaliencyScorer().measure(rows(SaliencyScorer(), pairs))
    assert {one.name: one.value for one in found} == pytest.approx(from_curves(pairs), abs=1e-9)
    for one in found:
        assert one.n == len(pairs)
        assert one.ci95 is not None
        assert -1e-9 <= one.ci95[0] <= one.ci95[1] <= 1 + 1e-9
        assert one.higher_is_better == (one.name != "MAE")


def test_all_degenerate_pairs_together() -> None:
    pairs: list[Pair] = [(a, b) for a in (*MASKS.values(), None) for b in MASKS.values()]
    found = SaliencyScorer().measure(rows(SaliencyScorer(), pairs))
    assert {one.name: one.value for one in found} == pytest.approx(from_curves(pairs), abs=1e-9)


def test_intervals_are_those_of_each_measure() -> None:
    rng = np.random.default_rng(0)
    pairs: list[Pair] = [(rng.random(SHAPE) < 0.4, rng.random(SHAPE) < 0.5) for _ in range(40)]
    scored = rows(SaliencyScorer(), pairs)
    found = by_name(SaliencyScorer().measure(scored))
    for name, key in (("S", "s"), ("MAE", "mae"), ("adaptive F", "f"), ("weighted F", "weighted_f")):
        expected = bootstrap_mean([row.scores[key] for row in scored], resamples=4000)
        assert found[name].ci95 == pytest.approx(expected, abs=0.01), name


def test_a_failure_is_the_worst_and_absence_an_empty_mask() -> None:
    scorer = SaliencyScorer("A note.")
    half = MASKS["half"]
    (failed,) = rows(scorer, [(None, half)])
    assert failed.scores == scorer.failure
    worst = {one.name: one.value for one in scorer.measure([failed])}
    assert worst.pop("MAE") == 1
    assert set(worst.values()) == {0}
    absent = by_name(scorer.measure(rows(scorer, [(MASKS["empty"], half)])))
    assert absent["MAE"].value == half.mean()
    assert absent["S"].value > 0
    right = by_name(scorer.measure(rows(scorer, [(MASKS["empty"], MASKS["empty"])])))
    assert (right["S"].value, right["MAE"].value, right["mean IoU"].value, right["max F"].value) == (1, 0, 1, 1)
    assert "the MAE 1" in scorer.counts
    assert scorer.counts.endswith("A note.")


def test_absence_is_told_from_presence() -> None:
    empty, half, row = MASKS["empty"], MASKS["half"], MASKS["row"]
    pairs: list[Pair] = [
        *[(empty, empty)] * 3, (half, empty), (None, empty),  # 3 of 5 rightly nothing
        *[(half, half)] * 4, (row, half), (empty, half), (None, half),  # 5 of 7 something
    ]  # fmt: skip
    found = by_name(GeneralizedScorer().measure(rows(GeneralizedScorer(), pairs)))
    assert (found["N-acc"].value, found["N-acc"].n, found["N-acc"].ci95) == (3 / 5, 5, wilson(3, 5))
    assert (found["T-acc"].value, found["T-acc"].n, found["T-acc"].ci95) == (5 / 7, 7, wilson(5, 7))
    overlap = (row & half).sum() / (row | half).sum()
    assert found["gIoU"].value == pytest.approx((3 + 4 + overlap) / 12)


def test_the_box_of_an_answer_is_its_first_objects_or_its_masks() -> None:
    one = replace(sample(MASKS["half"]), boxes=((0, 0, 6, 9),))
    by_mask = answered(MASKS["half"])
    assert BoxScorer().score(one, by_mask)[0] == 1  # by points alone: the mask's
    boxed = Instance("", (0, 0, 3, 9), (), (), 1.0)
    several = replace(by_mask, instances=(boxed, replace(boxed, box=(0, 0, 6, 9))))
    assert BoxScorer().score(one, several)[0] == 0.5
    for nothing in (MASKS["empty"], None):
        assert BoxScorer().score(one, answered(nothing))[0] == 0


def test_what_cannot_be_read_counts_among_all_and_is_no_group_of_its_own() -> None:
    scorer = ReferringScorer()
    half = MASKS["half"]
    good, other = rows(scorer, [(half, half), (half, half)])
    unread = replace(good, group="", scores=scorer.failure)
    found = scorer.measure([replace(good, group="long"), replace(other, group="short"), unread])
    giou = {(one.group, one.n): one.value for one in found if one.name == "gIoU"}
    assert giou == {("", 3): pytest.approx(2 / 3), ("long", 1): 1, ("short", 1): 1}


def test_where_there_is_no_such_sample_there_is_no_measure() -> None:
    scorer = GeneralizedScorer()
    present, absent = ([(mask, mask)] for mask in (MASKS["half"], MASKS["empty"]))
    assert "N-acc" not in by_name(scorer.measure(rows(scorer, present)))
    assert "T-acc" not in by_name(scorer.measure(rows(scorer, absent)))
    unread = replace(rows(scorer, present)[0], scores=scorer.failure)
    assert by_name(scorer.measure([unread]))["T-acc"].value == 0
