"""Tracking and re-prompting: follows, notices what is not the object, waits behind occluders, finds again."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.segmenters.base import Prompt, Segment
from tools.segmenters.grabcut import GrabCutSegmenter
from tools.segmenters.outline import Outline
from tools.segmenters.tracking import propagate_by_tracking

HEIGHT, WIDTH, SIZE = 120, 240, 24
RED, BLUE, GREY = (210, 40, 40), (40, 60, 210), (130, 130, 130)
Place = tuple[float, float] | None


class Painted:
    """Frames of flat squares over a dark, textured ground; later squares lie on top. Remembers how often it is read."""

    def __init__(self, count: int, squares: Sequence[tuple[tuple[int, int, int], Callable[[int], Place]]]) -> None:
        self.count, self.squares, self.reads = count, squares, [0] * count
        self.ground = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads[index] += 1
        return self.draw(index)[0]

    def draw(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, owner = self.ground.copy(), np.full((HEIGHT, WIDTH), -1)
        for number, (colour, path) in enumerate(self.squares):
            place = path(index)
            if place is not None:
                height = HEIGHT if colour == GREY else SIZE
                x, y = round(place[0]), 0 if colour == GREY else round(place[1])
                area = slice(max(y, 0), max(y + height, 0)), slice(max(x, 0), max(x + SIZE, 0))
                image[area], owner[area] = colour, number
        return image, owner

    def truth(self, index: int, number: int) -> np.ndarray:
        return self.draw(index)[1] == number

    def prompt(self, index: int, number: int) -> Prompt:
        rows, columns = np.nonzero(self.truth(index, number))
        return Prompt((columns.min() - 2.0, rows.min() - 2.0, columns.max() + 3.0, rows.max() + 3.0))


class BlobSegmenter:
    """Returns the bright blob that fills most of the prompt's box: right about outlines, blind to identity."""

    name = "blob"

    def segment(self, image, prompts):
        segments = []
        for prompt in prompts:
            best, best_fit = np.zeros(image.shape[:2], dtype=bool), 0.0
            for colour in np.unique(image[image.max(axis=2) > 60].reshape(-1, 3), axis=0):
                _, labels = cv2.connectedComponents((image == colour).all(axis=2).astype(np.uint8))
                for label in range(1, labels.max() + 1):
                    blob = labels == label
                    x1, y1, x2, y2 = (round(v) for v in prompt.box)
                    inside = blob[max(y1, 0) : y2, max(x1, 0) : x2].sum()
                    fit = inside / max(1, blob.sum() + (x2 - x1) * (y2 - y1) - inside)
                    if fit > best_fit:
                        best, best_fit = blob, fit
            segments.append(Segment(best, best_fit))
        return segments


def overlaps(clip: Painted, numbers: Sequence[int], keyframe: int, segmenter=None) -> dict[int, list[float]]:
    prompts = [clip.prompt(keyframe, number) for number in numbers]
    scores: dict[int, list[float]] = {}
    for index, segments in propagate_by_tracking(segmenter or BlobSegmenter(), clip, prompts, keyframe):
        assert index not in scores
        scores[index] = []
        for segment, number in zip(segments, numbers, strict=True):
            truth = clip.truth(index, number)
            union = (segment.mask | truth).sum()
            scores[index].append(1.0 if union == 0 else float((segment.mask & truth).sum() / union))
    assert sorted(scores) == list(range(len(clip)))
    return scores


@pytest.mark.parametrize("keyframe", [0, 9, 19])
@pytest.mark.parametrize("speed", [0.0, 4.0, 11.0])
def test_follows_both_ways_at_any_speed(keyframe, speed):
    clip = Painted(20, [(RED, lambda i: (5 + speed * i, 40 + 10 * np.sin(i / 3)))])
    scores = overlaps(clip, [0], keyframe)
    assert min(score for [score] in scores.values()) == 1
    assert max(clip.reads) <= 2


def test_waits_behind_an_occluder_and_finds_again():
    clip = Painted(40, [(RED, lambda i: (10 + 5 * i, 50)), (GREY, lambda i: (110, 0))])
    scores = overlaps(clip, [0], 2)
    hidden = [i for i in range(40) if not clip.truth(i, 0).any()]
    assert hidden
    assert all(scores[i][0] == 1 for i in hidden), "the occluder must not be taken for the object"
    assert np.mean([score for [score] in scores.values()]) > 0.95


def test_a_distractor_that_crosses_is_not_followed():
    clip = Painted(40, [(RED, lambda i: (10 + 5 * i, 50)), (BLUE, lambda i: (205 - 5 * i, 54))])
    scores = overlaps(clip, [0, 1], 3)
    assert np.mean([s[0] for s in scores.values()]) > 0.9
    assert np.mean([s[1] for s in scores.values()]) > 0.95


def test_gone_is_empty_and_back_is_found():
    clip = Painted(36, [(RED, lambda i: (20 + 2 * i, 30) if i < 12 or i >= 22 else None), (BLUE, lambda i: (150, 80))])
    scores = overlaps(clip, [0], 4)
    assert all(scores[i][0] == 1 for i in range(22)), "empty while it is gone, whatever else is there"
    assert scores[35][0] == 1


def test_leaves_the_picture():
    clip = Painted(30, [(RED, lambda i: (150 + 6 * i, 50)), (BLUE, lambda i: (100, 20))])
    scores = overlaps(clip, [0], 0)
    assert np.mean([score for [score] in scores.values()]) > 0.95
    assert scores[29][0] == 1


def test_twins_do_not_collapse_into_one():
    clip = Painted(40, [(RED, lambda i: (10 + 5 * i, 45)), (RED, lambda i: (205 - 5 * i, 75))])
    scores = overlaps(clip, [0, 1], 0)
    assert min(min(s) for s in scores.values()) == 1


def test_an_empty_keyframe_mask_stays_empty():
    clip = Painted(6, [(RED, lambda i: (10, 50))])
    nothing = Prompt((150.0, 10.0, 190.0, 30.0))
    for _, segments in propagate_by_tracking(BlobSegmenter(), clip, [nothing], 2):
        assert not segments[0].mask.any()


def test_with_a_real_segmenter():
    clip = Painted(16, [(RED, lambda i: (10 + 7 * i, 40 + 2 * i)), (BLUE, lambda i: (120, 50))])
    scores = overlaps(clip, [0], 5, GrabCutSegmenter())
    assert np.mean([score for [score] in scores.values()]) > 0.9


def test_no_objects_and_one_frame():
    clip = Painted(1, [(RED, lambda i: (10, 50))])
    assert [(index, len(segments)) for index, segments in propagate_by_tracking(BlobSegmenter(), clip, [], 0)] == [
        (0, 0)
    ]


def test_a_twin_that_touches_is_not_taken_in():
    clip = Painted(40, [(RED, lambda i: (205 - 5 * i, 60)), (RED, lambda i: (10 + 5 * i, 45))])
    scores = overlaps(clip, [1], 3)
    assert min(score for [score] in scores.values()) > 0.75, "the union of the two would score about a half"
    assert scores[39][0] == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(-30, 90), st.integers(-30, 90), st.integers(5, 20), st.integers(5, 20), st.floats(0, 0.2))
def test_an_outline_placed_somewhere_is_the_shape_shifted_there(x, y, width, height, slack):
    whole = np.zeros((60, 60), dtype=bool)
    whole[10 : 10 + height, 20 : 20 + width] = True
    centre = np.array([x + width / 2, y + height / 2])
    placed = Outline(whole).placed(centre, (60, 60), slack)
    truth = np.zeros((200, 200), dtype=bool)
    truth[y + 70 : y + 70 + height, x + 70 : x + 70 + width] = True
    truth = truth[70:130, 70:130]
    assert placed[truth].all()
    grown = max(1, round(slack * max(width, height)))
    rows, columns = np.nonzero(placed)
    if rows.size:
        assert rows.min() >= y - grown
        assert rows.max() < y + height + grown
        assert columns.min() >= x - grown
        assert columns.max() < x + width + grown


def test_outlines_agree_whatever_their_size_and_place():
    small, large, other = (np.zeros((80, 80), dtype=bool) for _ in range(3))
    cv2.circle(small.view(np.uint8), (15, 15), 8, 1, -1)
    cv2.circle(large.view(np.uint8), (50, 50), 24, 1, -1)
    other[10:50, 10:20] = other[10:20, 10:50] = True
    assert Outline(small).likeness(large) > 0.9
    assert Outline(small).likeness(other) < 0.7
