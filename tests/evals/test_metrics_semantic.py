"""Semantic scores against sets of pixels, one class after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from saliency_oracle import degenerate_masks

from evals.metrics.semantic import count_classes, score_semantic

CLASSES = 6
Pictures = list[tuple[np.ndarray, np.ndarray]]


def slow_scores(pictures: Pictures) -> dict[str, float]:
    """All pixels of all pictures in one row, without the ignored ones; the last class never occurs."""
    predicted, truth = (np.concatenate([picture[side].ravel() for picture in pictures]).tolist() for side in (0, 1))
    pairs = [(p, t) for p, t in zip(predicted, truth, strict=True) if t != 255]
    iou, recall, in_truth, in_either = [], [], [], []
    for one in range(CLASSES):
        both = sum(p == t == one for p, t in pairs)
        either = sum(one in pair for pair in pairs)
        true = sum(t == one for _, t in pairs)
        iou.append(both / either if either else 0.0)
        recall.append(both / true if true else 0.0)
        in_truth.append(true > 0)
        in_either.append(either > 0)
    return {
        "miou": sum(iou) / sum(in_truth),
        "miou_occurring": sum(iou) / sum(in_either),
        "miou_all": sum(iou) / CLASSES,
        "class_accuracy": sum(recall) / sum(in_truth),
        "pixel_accuracy": sum(p == t for p, t in pairs) / len(pairs),
    }


def draw(rng: np.random.Generator) -> Pictures:
    found = []
    for _ in range(int(rng.integers(1, 5))):
        shape = tuple(rng.integers(1, 9, 2))
        truth = rng.choice([0, 1, 2, 255], shape)
        truth[0, 0] = 1
        found.append((np.where(rng.random(shape) < 0.5, truth, rng.choice([0, 2, 4, 255], shape)), truth))
    return found


def fast_scores(pictures: Pictures) -> dict[str, float]:
    score = score_semantic([count_classes(*picture, CLASSES) for picture in pictures])
    return {name: getattr(score, name) for name in slow_scores(pictures)}


def test_scores_are_those_of_sets() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        pictures = draw(rng)
        assert fast_scores(pictures) == pytest.approx(slow_scores(pictures), abs=1e-12)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_degenerate_masks_as_two_classes_score_as_sets_do(kind: type) -> None:
    masks = [mask.astype(kind) for mask in degenerate_masks().values()]
    for one in masks:
        for other in masks:
            counted = score_semantic([count_classes(one, other, CLASSES)])
            assert {name: getattr(counted, name) for name in slow_scores([(one, other)])} == pytest.approx(
                slow_scores([(one, other)]), abs=1e-12
            )


def test_the_divisors_differ_by_classes_that_nobody_drew_and_that_only_the_prediction_drew() -> None:
    truth = np.repeat([[0], [1]], 4, axis=1)
    predicted = np.array([[0, 0, 0, 0], [1, 1, 3, 3]])
    score = score_semantic([count_classes(predicted, truth, CLASSES)])
    assert score.miou == (1 + 0.5) / 2
    assert score.miou_occurring == (1 + 0.5) / 3
    assert score.miou_all == (1 + 0.5) / 6
    assert score.pixel_accuracy == 6 / 8
    assert np.isnan(score.class_iou[[2, 4, 5]]).all()
    assert score.class_iou[[0, 1, 3]].tolist() == [1, 0.5, 0]


def test_degenerate_pictures() -> None:
    void, zeros = np.full((3, 4), 255), np.zeros((3, 4), int)
    assert count_classes(zeros, void, 2).sum() == 0
    assert count_classes(void, zeros, 2).tolist() == [[0, 0], [12, 0], [0, 0]]
    assert score_semantic([count_classes(void, zeros, 2)]).miou == 0
    with pytest.raises(ValueError, match="no picture has a pixel"):
        score_semantic([count_classes(zeros, void, 2)])
    with pytest.raises(ValueError, match="no picture has a pixel"):
        score_semantic([])
    with pytest.raises(ValueError, match="prediction has labels 0 to 7, there are 2"):
        count_classes(zeros + 7 * np.eye(3, 4, dtype=int), zeros, 2)
    with pytest.raises(ValueError, match="truth has labels -1"):
        count_classes(zeros, zeros - 1, 2)
    with pytest.raises(ValueError, match="different shapes"):
        count_classes(zeros, zeros.T, 2)
    with pytest.raises(ValueError, match="integers"):
        count_classes(zeros * 1.0, zeros, 2)


def test_intervals_are_over_pictures() -> None:
    # One good and one bad picture of one class: resamples of the two are both good, both bad or one of each.
    good, bad = np.zeros((4, 4), int), np.ones((4, 4), int)
    score = score_semantic([count_classes(good, good, 2), count_classes(bad, good, 2)])
    assert (score.miou, score.miou_ci95) == (0.5, (0, 1))
    assert (score.pixel_accuracy, score.pixel_accuracy_ci95) == (0.5, (0, 1))
    many = [count_classes(good, good, 2)] * 50
    assert score_semantic(many).miou_ci95 == (1, 1)


labels = arrays(np.int64, (3, 5), elements=st.sampled_from([0, 1, 2, 3, 255]))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=4), st.permutations(range(4)))
def test_bounds_order_and_names_of_classes(pictures: Pictures, names: list[int]) -> None:
    counts = [count_classes(*picture, 4) for picture in pictures]
    if not np.sum(counts, axis=0)[1].any():
        return
    score = score_semantic(counts)
    assert 0 <= score.miou_all <= score.miou_occurring <= score.miou <= 1
    assert 0 <= score.pixel_accuracy <= 1
    assert score_semantic(counts[::-1]).miou == pytest.approx(score.miou)
    renamed = np.append(names, np.zeros(252, int))
    renamed[255] = 255
    again = score_semantic([count_classes(renamed[one], renamed[other], 4) for one, other in pictures])
    assert again.miou == pytest.approx(score.miou)
    mirrored = score_semantic([count_classes(truth, truth, 4) for _, truth in pictures])
    assert mirrored.miou == mirrored.pixel_accuracy == 1
