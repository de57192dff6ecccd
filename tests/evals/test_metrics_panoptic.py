"""Panoptic quality against a plain matching of sets of pixels, with voids and crowds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saliency_oracle import degenerate_masks

from evals.metrics.panoptic import Panoptic, Segment, count_segments
from evals.metrics.panoptic_quality import score_panoptic

CLASSES = 4


def pixels(picture: Panoptic, one: int) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in zip(*np.nonzero(picture.ids == one), strict=True)}


def slow_counts(predicted: Panoptic, truth: Panoptic) -> np.ndarray:
    """Kirillov et al. section 4 segment by segment; sums of IoU, matches, false alarms and misses of each class."""
    counts = np.zeros((4, CLASSES))
    void = pixels(truth, 0)
    ours = {segment: pixels(predicted, segment.id) for segment in predicted.segments}
    theirs = {segment: pixels(truth, segment.id) for segment in truth.segments}
    matched = set()
    for real, real_pixels in theirs.items():
        if real.crowd:
            continue
        for guess, guess_pixels in ours.items():
            overlap = len(real_pixels & guess_pixels) / len(real_pixels | (guess_pixels - void))
            if guess.category == real.category and overlap > 0.5:
                counts[:2, real.category] += overlap, 1
                matched.add(guess)
                break
        else:
            counts[3, real.category] += 1
    for guess, guess_pixels in ours.items():
        crowds = [area for real, area in theirs.items() if real.crowd and real.category == guess.category]
        forgiven = void.union(*crowds)
        if guess not in matched and len(guess_pixels & forgiven) <= len(guess_pixels) / 2:
            counts[2, guess.category] += 1
    return counts


def picture(ids: np.ndarray, categories: dict[int, int], crowds: frozenset[int] = frozenset()) -> Panoptic:
    found = [int(one) for one in np.unique(ids) if one]
    return Panoptic(ids, [Segment(one, categories[one], one in crowds) for one in found])


def draw(rng: np.random.Generator) -> tuple[Panoptic, Panoptic]:
    """A picture of up to six boxes, some of them crowds, on void or on a segment, and a guess that strays from it."""
    shape = (int(rng.integers(2, 12)), int(rng.integers(2, 12)))
    numbers = rng.choice(2**24 - 1, 8, replace=False) + 1
    ids = np.full(shape, numbers[0] if rng.random() < 0.5 else 0)
    for number in numbers[1 : int(rng.integers(1, 7))]:
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        ids[y : y + rng.integers(1, 8), x : x + rng.integers(1, 8)] = number
    guess = np.where(rng.random(shape) < rng.choice([0, 0.1, 0.4]), rng.choice([0, *numbers], shape), ids)
    categories = {int(number): int(rng.integers(0, CLASSES - 1)) for number in numbers}
    guessed = {one: category if rng.random() < 0.8 else int(rng.integers(0, 3)) for one, category in categories.items()}
    crowds = frozenset(int(number) for number in numbers if rng.random() < 0.2)
    return picture(guess, guessed), picture(ids, categories, crowds)


def test_counts_are_those_of_sets() -> None:
    rng = np.random.default_rng(0)
    total = np.zeros((4, CLASSES))
    for _ in range(300):
        predicted, truth = draw(rng)
        found = count_segments(predicted, truth, CLASSES)
        assert found == pytest.approx(slow_counts(predicted, truth), abs=1e-12)
        total += found
    assert (total[:, :3] > 20).all()  # matches, false alarms and misses all occurred


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_degenerate_masks_as_segments_are_counted_as_sets_are(kind: type) -> None:
    pictures = [picture(mask.astype(kind), {1: 0}) for mask in degenerate_masks().values()]
    for predicted in pictures:
        for truth in pictures:
            found = count_segments(predicted, truth, CLASSES)
            assert found == pytest.approx(slow_counts(predicted, truth), abs=1e-12)


def test_the_score_is_the_papers_formula() -> None:
    rng = np.random.default_rng(1)
    counts = [count_segments(*draw(rng), CLASSES) for _ in range(60)]
    iou, right, alarms, misses = np.sum(counts, axis=0)[:, :3]
    score = score_panoptic(counts)
    assert score.classes == 3
    assert score.pq == pytest.approx(np.mean(iou / (right + alarms / 2 + misses / 2)))
    assert score.sq == pytest.approx(np.mean(iou / right))
    assert score.rq == pytest.approx(np.mean(right / (right + alarms / 2 + misses / 2)))
    assert score.pq_ci95[0] < score.pq < score.pq_ci95[1]
    assert np.isnan(score.class_pq[3])
    things = score_panoptic(counts, only=[True, False, False, True])
    assert (things.classes, things.pq) == (1, pytest.approx(score.class_pq[0]))
    assert things.pq == pytest.approx(things.sq * things.rq)


IDS = np.zeros((4, 10), int)
IDS[:, :4], IDS[:, 4:8] = 1, 2
TRUTH = picture(IDS, {1: 0, 2: 1})


def guess_of(columns: slice, category: int = 0) -> Panoptic:
    ids = np.zeros_like(IDS)
    ids[:, columns] = 9
    return picture(ids, {9: category})


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (slice(0, 4), (1.0, 1, 0)),  # the same
        (slice(0, 3), (0.75, 1, 0)),
        (slice(0, 2), (0.0, 0, 1)),  # an IoU of a half is no match
        (slice(8, 10), (0.0, 0, 0)),  # all on void: forgiven
        (slice(7, 9), (0.0, 0, 1)),  # half on void: not forgiven
    ],
)
def test_matches_and_voids(columns: slice, expected: tuple[float, int, int]) -> None:
    counts = count_segments(guess_of(columns), TRUTH, 2)
    assert tuple(counts[:3, 0]) == pytest.approx(expected)
    assert counts[3].tolist() == [1 - expected[1], 1]


def test_predicted_pixels_on_void_are_outside_the_union() -> None:
    # Of six columns two lie on void: 4 / 4, not 4 / 6.
    assert count_segments(guess_of(slice(4, 10), 1), TRUTH, 2)[0, 1] == 1


def test_crowds_are_neither_matched_nor_missed_and_forgive_their_class_only() -> None:
    crowd = picture(IDS, {1: 0, 2: 1}, frozenset([1]))
    same, other = (count_segments(guess_of(slice(0, 4), category), crowd, 2) for category in (0, 1))
    assert same.tolist() == [[0, 0], [0, 0], [0, 0], [0, 1]]
    assert other.tolist() == [[0, 0], [0, 0], [0, 1], [0, 1]]
    # Two crowds of a class forgive together, where COCO's evaluator looks at the last one only.
    crowds = picture(IDS, {1: 0, 2: 0}, frozenset([1, 2]))
    assert count_segments(guess_of(slice(2, 6)), crowds, 1).sum() == 0


def test_nothing_predicted_and_nothing_there() -> None:
    nothing = Panoptic(np.zeros_like(IDS), [])
    assert count_segments(nothing, TRUTH, 2).tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    assert score_panoptic([count_segments(nothing, TRUTH, 2)]).pq == 0
    assert count_segments(nothing, nothing, 2).sum() == 0
    for counts in ([], [count_segments(nothing, nothing, 2)]):
        with pytest.raises(ValueError, match="no picture has a segment"):
            score_panoptic(counts)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Panoptic(IDS[:2], TRUTH.segments), "different shapes"),
        (Panoptic(IDS, TRUTH.segments[:1]), "prediction has pixels whose id"),
        (Panoptic(IDS, [*TRUTH.segments, Segment(3, 0)]), "lists segments that have no pixels"),
        (Panoptic(IDS, [*TRUTH.segments, Segment(2**24, 0)]), "ids of their own"),
        (Panoptic(IDS, [Segment(1, 0), Segment(1, 1)]), "ids of their own"),
        (Panoptic(IDS, [Segment(1, 0), Segment(2, 5)]), "none of the 2 classes"),
        (Panoptic(IDS - 1, TRUTH.segments), "integers from 0"),
        (Panoptic(IDS * 1.0, TRUTH.segments), "integers from 0"),
    ],
)
def test_broken_pictures_are_refused(broken: Panoptic, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        count_segments(broken, TRUTH, 2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_bounds_order_and_names_of_segments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = [draw(rng) for _ in range(3)]
    counts = [count_segments(*pair, CLASSES) for pair in pairs]
    if not np.sum(counts, axis=0)[1:].any():
        return
    score = score_panoptic(counts)
    assert 0 <= score.pq <= min(score.sq, score.rq) <= 1
    assert score_panoptic(counts[::-1]).pq == pytest.approx(score.pq)
    for predicted, truth in pairs:
        names = {0: 0, **{segment.id: 7 * k + 1 for k, segment in enumerate(predicted.segments)}}
        ids = np.vectorize(names.get)(predicted.ids)
        renamed = Panoptic(ids, [Segment(names[s.id], s.category) for s in reversed(predicted.segments)])
        assert count_segments(renamed, truth, CLASSES) == pytest.approx(count_segments(predicted, truth, CLASSES))
        perfect = count_segments(Panoptic(truth.ids, truth.segments), truth, CLASSES)
        assert perfect[2:].sum() == 0
        assert perfect[0].sum() == perfect[1].sum() == sum(not segment.crowd for segment in truth.segments)


def test_resamples_without_a_segment_have_no_say() -> None:
    nothing = Panoptic(np.zeros_like(IDS), [])
    counts = [count_segments(*pair, 2) for pair in ((TRUTH, TRUTH), (nothing, nothing), (nothing, nothing))]
    assert score_panoptic(counts).pq_ci95 == (1, 1)
