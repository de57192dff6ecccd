"""The window: crops, points and masks agree about where things are, to a fraction of a pixel."""

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.segmenters.window import MIN_SIDE, OUTSIDE, Window, whole_picture, window_for

HEIGHT, WIDTH = 90, 120
coordinate = st.floats(-20, 140, allow_nan=False)
windows = st.builds(Window, x=st.integers(-60, 110), y=st.integers(-60, 80), side=st.integers(32, 160))
sizes = st.sampled_from([64, 96, 256])


def ramp() -> np.ndarray:
    """A picture whose red is twice x and whose green is twice y at pixel centres."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([2 * columns + 1, 2 * rows + 1, np.full_like(rows, 99)], axis=-1).astype(np.uint8)


@given(windows, sizes, st.lists(st.tuples(coordinate, coordinate), min_size=1))
def test_points_there_and_back(window, size, points):
    back = window.from_crop(window.to_crop(points, size), size)
    assert np.allclose(back, points, atol=1e-3)


@given(windows, sizes)
def test_corners_of_the_window_are_corners_of_the_crop(window, size):
    corners = [(window.x, window.y), (window.x + window.side, window.y + window.side)]
    assert np.allclose(window.to_crop(corners, size), [(0, 0), (size, size)], atol=1e-3)
    assert np.allclose(window.box_to_crop((*corners[0], *corners[1]), size), (0, 0, size, size), atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(windows, sizes)
def test_a_crop_shows_each_place_where_its_points_say(window, size):
    crop, mirrored = window.cut(ramp(), size), window.cut(255 - ramp(), size)
    assert crop.shape == (size, size, 3)
    rows, columns = np.mgrid[:size, :size]
    x, y = np.moveaxis(window.from_crop(np.stack([columns + 0.5, rows + 0.5], axis=-1), size), -1, 0)
    step = max(1.0, window.side / size)
    inside = (x > step) & (x < WIDTH - step) & (y > step) & (y < HEIGHT - step)
    for channel, place in ((0, x), (1, y)):  # two units a pixel; values are rounded twice
        error = crop[..., channel].astype(float)[inside] - 2 * place[inside]
        assert np.abs(error).max(initial=0) <= 1.3
        # Rounding errs the same way on a rising and on a falling ramp, a shifted place the other way: half the
        # difference is the shift alone.
        fallen = mirrored[..., channel].astype(float)[inside] - (255 - 2 * place[inside])
        assert error.size < 200 or abs((error - fallen).mean() / 2) <= 0.6
    outside = (x < -step) | (x > WIDTH + step) | (y < -step) | (y > HEIGHT + step)
    assert (crop[outside] == OUTSIDE).all()


@settings(max_examples=60, deadline=None)
@given(st.floats(5, 115), st.floats(5, 85), st.floats(6, 30), st.floats(1.2, 3), sizes)
def test_a_mask_survives_the_way_into_the_crop_and_back(x, y, radius, factor, size):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disc = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    window = window_for((x - radius, y - radius, x + radius, y + radius), factor)
    logits = window.cut_mask(disc, size).astype(np.float32) - 0.5
    back = window.paste(logits, HEIGHT, WIDTH)
    overlap = (back & disc).sum() / (back | disc).sum()
    assert overlap > 0.88
    assert back.shape == (HEIGHT, WIDTH)


@given(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), st.integers(16, 100), st.integers(2, 40))
def test_paste_is_a_bilinear_resize_of_the_logits(corner, side, cells):
    logits = np.random.default_rng(side * 100 + cells).normal(size=(cells, cells)).astype(np.float32)
    window = Window(*corner, side)
    resized = cv2.resize(logits, (side, side), interpolation=cv2.INTER_LINEAR)
    expected = np.zeros((300, 300), dtype=np.float32)
    expected[100 + window.y : 100 + window.y + side, 100 + window.x : 100 + window.x + side] = resized
    expected = expected[100:190, 100:220]
    pasted = window.paste(logits, HEIGHT, WIDTH)
    surely = np.abs(expected) > 1e-4
    assert np.array_equal(pasted[surely], (expected > 0)[surely])
    assert not pasted[expected == 0].any()


@given(st.tuples(coordinate, coordinate, coordinate, coordinate), st.floats(1, 4))
def test_window_is_centred_and_large_enough(numbers, factor):
    x1, x2 = sorted(numbers[:2])
    y1, y2 = sorted(numbers[2:])
    window = window_for((x1, y1, x2, y2), factor)
    assert window.side >= MIN_SIDE
    assert abs(window.x + window.side / 2 - (x1 + x2) / 2) <= 0.5 + 1e-9
    assert abs(window.y + window.side / 2 - (y1 + y2) / 2) <= 0.5 + 1e-9
    assert window.side >= factor * max(x2 - x1, y2 - y1) - 0.5


def test_window_beyond_the_picture_is_blank_and_pastes_nothing():
    window = Window(500, 500, 40)
    assert (window.cut(ramp(), 64) == OUTSIDE).all()
    assert not window.paste(np.ones((16, 16)), HEIGHT, WIDTH).any()


def test_whole_picture_shows_everything():
    window = whole_picture(HEIGHT, WIDTH)
    assert (window.x, window.side) == (0, WIDTH)
    assert window.paste(np.ones((8, 8)), HEIGHT, WIDTH).all()


def test_a_huge_window_costs_no_more_than_the_picture():
    window = Window(-500_000, -500_000, 1_000_000)
    assert window.cut(ramp(), 64).shape == (64, 64, 3)
    assert window.paste(np.ones((8, 8)), HEIGHT, WIDTH).all()


def test_a_window_that_nearly_fits_is_not_stretched():
    """One row of 91 lies beyond the picture: too little to lose a row of the crop, but it must not stretch it."""
    window, size = Window(x=30, y=0, side=91), 32
    crop = window.cut(ramp(), size)[..., 1].astype(float)
    places = window.from_crop(np.stack([np.full(size, 16.0), np.arange(size) + 0.5], axis=-1), size)[:, 1]
    assert np.abs(crop[1:-2, 16] - 2 * places[1:-2]).max() <= 1.3
