"""Priors and maps against what is worked out by hand, pixel by pixel."""

import numpy as np
import pytest
from vocabulary_stubs import VOCABULARY

from graphs.openvocab.fusion import NOTHING, PanopticRules, PresencePrior, class_chances, panoptic_map, semantic_map
from tools.errors import InputError
from tools.segmenters.base import Segment


def segment(columns: slice, score: float = 1.0) -> Segment:
    mask = np.zeros((2, 6), np.bool_)
    mask[:, columns] = True
    return Segment(mask, score)


def test_the_soft_prior_adds_the_weighted_log_of_a_chance() -> None:
    scores = np.array([[1.0, 2.0, 0.0]])
    prior = PresencePrior(weight=2.0, present=0.5, absent=0.1)
    np.testing.assert_allclose(prior.add(scores, {0}), scores + 2 * np.log([[0.5, 0.1, 0.1]]))
    assert prior.add(scores, set()) is scores
    gated = class_chances(PresencePrior(hard=True).add(scores, {0, 2}))
    np.testing.assert_allclose(gated, [[np.e / (np.e + 1), 0, 1 / (np.e + 1)]])
    with pytest.raises(InputError):
        PresencePrior(absent=0.0)


def test_every_pixel_takes_the_class_with_the_highest_sum_over_its_masks() -> None:
    """The naive sum, pixel by pixel, is the oracle; masks overlap in every way."""
    rng = np.random.default_rng(3)
    segments = [Segment(rng.random((13, 17)) < 0.3, float(rng.random())) for _ in range(11)]
    chances = class_chances(rng.normal(size=(11, 5)) * 3)
    labels = semantic_map(segments, chances, (13, 17))
    for y in range(13):
        for x in range(17):
            total = sum(c * s.score for c, s in zip(chances, segments, strict=True) if s.mask[y, x])
            assert labels[y, x] == (NOTHING if np.isscalar(total) else np.argmax(total))
    assert (semantic_map([], chances[:0], (2, 3)) == NOTHING).all()


def test_things_are_counted_and_stuff_is_merged() -> None:
    segments = [segment(slice(0, 2)), segment(slice(2, 3)), segment(slice(3, 4), 0.9), segment(slice(5, 6), 0.8)]
    chances = np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.0, 0.3, 0.7]])
    ids, found = panoptic_map(segments, chances, (2, 6), VOCABULARY, PanopticRules())
    assert [(one.place, one.pixels) for one in found] == [(0, 4), (0, 2), (2, 4)]
    assert ids[0].tolist() == [1, 1, 2, 3, 0, 3]
    assert found[2].chance == pytest.approx(0.8)


def test_hidden_and_unsure_masks_are_no_segments() -> None:
    segments = [segment(slice(0, 4)), segment(slice(2, 6), 0.9), segment(slice(5, 6), 0.8)]
    chances = np.array([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.34, 0.33, 0.33]])
    for visible, least, pixels in ((0.7, 0.2, [8, 2]), (0.5, 0.2, [8, 4]), (0.7, 0.5, [8])):
        rules = PanopticRules(visible=visible, chance=least)
        _, found = panoptic_map(segments, chances, (2, 6), VOCABULARY, rules)
        assert [one.pixels for one in found] == pixels
