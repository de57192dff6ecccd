"""GrabCut: right where colours tell, harmless where they do not, and never an OpenCV error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.errors import InputError
from tools.segmenters.base import Prompt
from tools.segmenters.grabcut import GrabCutSegmenter


def scene(height: int = 120, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A red disc on mottled green, and its mask."""
    rng = np.random.default_rng(0)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[..., 1] = rng.integers(90, 160, (height, width))
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < (min(height, width) / 4) ** 2
    image[disc] = np.stack([rng.integers(150, 230, disc.sum()), np.full(disc.sum(), 30), np.full(disc.sum(), 40)], -1)
    return image, disc


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt((48, 28, 112, 92)),
        Prompt((40, 20, 115, 100)),
        Prompt((48, 28, 112, 92), ((80.0, 60.0),), (1,)),
        Prompt(None, ((80.0, 60.0),), (1,)),
        Prompt((0, 0, 160, 120)),
        Prompt((-30, -30, 500, 500)),
    ],
)
def test_cuts_out_what_differs_in_colour(prompt):
    image, disc = scene()
    segment = GrabCutSegmenter().segment(image, [prompt])[0]
    assert iou(segment.mask, disc) > 0.9
    assert segment.mask.shape == disc.shape
    assert segment.mask.dtype == np.bool_
    assert 0.5 < segment.score <= 1


def test_large_pictures_cost_little_and_keep_the_outline():
    image, disc = scene(1500, 2000)
    segment = GrabCutSegmenter().segment(image, [Prompt((600, 350, 1400, 1150))])[0]
    assert iou(segment.mask, disc) > 0.95


def test_an_object_at_the_border():
    image, _ = scene()
    image[:40, :40] = (200, 30, 40)
    truth = np.zeros(image.shape[:2], dtype=bool)
    truth[:40, :40] = True
    assert iou(GrabCutSegmenter().segment(image, [Prompt((0, 0, 42, 43))])[0].mask, truth) > 0.9


def test_points_decide_between_two_objects():
    image, _ = scene()
    image[10:40, 10:40] = (30, 40, 220)
    image[10:40, 60:90] = (220, 220, 30)
    box = (8.0, 8.0, 92.0, 42.0)
    mask = GrabCutSegmenter().segment(image, [Prompt(box, ((25.0, 25.0), (75.0, 25.0)), (1, 0))])[0].mask
    assert mask[12:38, 12:38].mean() > 0.9
    assert mask[12:38, 62:88].mean() < 0.1


@pytest.mark.parametrize("box", [(10, 10, 12, 60), (10, 10, 11, 11), (10.2, 10.2, 10.7, 10.7)])
def test_tiny_boxes_are_taken_whole(box):
    image, _ = scene()
    mask = GrabCutSegmenter().segment(image, [Prompt(box)])[0].mask
    left, top, right, bottom = (int(np.floor(v)) if i < 2 else int(np.ceil(v)) for i, v in enumerate(box))
    assert mask[top:bottom, left:right].all()
    assert mask.sum() == (bottom - top) * (right - left)


def test_box_outside_the_picture_is_empty():
    image, _ = scene()
    segment = GrabCutSegmenter().segment(image, [Prompt((500, 500, 600, 600))])[0]
    assert not segment.mask.any()
    assert segment.score == 0


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.tuples(*[st.floats(-10, 50)] * 4),
    st.lists(st.tuples(st.floats(-10, 50), st.floats(-10, 50), st.integers(0, 1)), max_size=3),
    st.sampled_from(["flat", "noise", "stripes"]),
)
def test_nothing_breaks_it(height, width, corners, points, kind):
    image = np.full((height, width, 3), 120, dtype=np.uint8)
    if kind == "noise":
        image = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    elif kind == "stripes":
        image[:, ::2] = 10
    x1, x2 = sorted(corners[:2])
    y1, y2 = sorted(corners[2:])
    box = (x1, y1, x2 + 0.5, y2 + 0.5)
    places, labels = tuple((x, y) for x, y, _ in points), tuple(label for *_, label in points)
    prompts = [Prompt(box, places, labels)] + ([Prompt(None, places, labels)] if points else [])
    for segment in GrabCutSegmenter().segment(image, prompts):
        assert segment.mask.shape == (height, width)
        assert 0 <= segment.score <= 1


def test_same_input_same_mask():
    image = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    prompt = Prompt((20, 20, 60, 60))
    one, other = (GrabCutSegmenter().segment(image, [prompt])[0].mask for _ in range(2))
    assert np.array_equal(one, other)


def test_prompt_without_anything_is_refused():
    with pytest.raises(InputError):
        GrabCutSegmenter().segment(scene()[0], [Prompt()])
