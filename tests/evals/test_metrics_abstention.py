"""Answers of absence, counted by hand, and scores by ability."""

import numpy as np
import pytest

from evals.metrics.abilities import ClipResult, score_abilities
from evals.metrics.abstention import score_abstention
from evals.metrics.clips import ClipScore, score_clip
from evals.metrics.intervals import bootstrap_mean, wilson


def test_precision_and_recall_of_absence() -> None:
    # 8 absent, 5 of them said; 12 present, 2 of them said to be absent.
    answers = [(True, True)] * 5 + [(False, True)] * 3 + [(True, False)] * 2 + [(False, False)] * 10
    score = score_abstention(answers)
    assert (score.absent, score.present) == (8, 12)
    assert score.recall == 5 / 8
    assert score.precision == 5 / 7
    assert score.false_share == 2 / 12
    assert score.recall_ci95 == wilson(5, 8)
    assert score.precision_ci95 == wilson(5, 7)
    assert score.false_share_ci95 == wilson(2, 12)
    rng = np.random.default_rng(0)
    assert score_abstention([answers[i] for i in rng.permutation(20)]) == score


def test_a_share_of_nothing_is_none() -> None:
    score = score_abstention([(False, False)] * 4)
    assert (score.precision, score.recall, score.false_share) == (None, None, 0)
    assert score.precision_ci95 == score.recall_ci95 == (0, 1)
    assert score_abstention([]).false_share is None


def test_abilities_are_means_over_clips_and_failures_are_zeros() -> None:
    results = [
        ClipResult("one-hop", ClipScore(0.8, 0.6)),
        ClipResult("in-video", ClipScore(1.0, 0.9)),
        ClipResult("one-hop", None),
        ClipResult("one-hop", ClipScore(0.4, 0.3)),
    ]
    table = score_abilities(results)
    assert list(table) == ["one-hop", "in-video", "all"]
    one_hop, everything = table["one-hop"], table["all"]
    assert (one_hop.n, one_hop.failures) == (3, 1)
    assert (one_hop.j, one_hop.f, one_hop.j_and_f) == pytest.approx((0.4, 0.3, 0.35))
    assert one_hop.ci95 == bootstrap_mean([0.7, 0.0, 0.35])
    # Over clips, so that abilities weigh by their number: 2.2 / 4, not (0.4 + 1) / 2.
    assert (everything.n, everything.failures) == (4, 1)
    assert (everything.j, everything.f, everything.j_and_f) == pytest.approx((0.55, 0.45, 0.5))


def test_a_failed_clip_earns_nothing_for_frames_without_the_object() -> None:
    empty = np.zeros((8, 8), bool)
    assert score_clip([(empty, empty)] * 3).j_and_f == 1
    assert score_abilities([ClipResult("relational", None)])["all"].j_and_f == 0


def test_clips_without_abilities_are_refused() -> None:
    for results in ([], [ClipResult("all", None)]):
        with pytest.raises(ValueError, match="abilities are needed"):
            score_abilities(results)
