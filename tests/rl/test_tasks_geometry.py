import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from rl.tasks.geometry import edge_truth, frame_truths, in_units, inner_pixel, largest_component, pixel_truth

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
MASKS = arrays(np.bool_, SHAPES, elements=st.booleans())


def deepest(mask, *, padded):
    """Every pixel against every pixel outside."""
    height, width = mask.shape
    outside = [(y, x) for y in range(height) for x in range(width) if not mask[y, x]]
    if padded:
        outside += [(y, x) for y in range(-1, height + 1) for x in (-1, width)]
        outside += [(y, x) for x in range(-1, width + 1) for y in (-1, height)]
    best, found = -1.0, (0, 0)
    for y in range(height):
        for x in range(width):
            depth = min((y - v) ** 2 + (x - u) ** 2 for v, u in outside) if mask[y, x] else -1
            if depth > best:
                best, found = depth, (x, y)
    return found


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_the_point_is_the_deepest_by_brute_force(mask):
    if mask.any():
        assert inner_pixel(mask) == deepest(mask, padded=True)
        if not mask.all():
            assert inner_pixel(mask, padded=False) == deepest(mask, padded=False)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_the_published_point_is_that_of_scipy(mask):
    if mask.any():
        depth = ndimage.distance_transform_edt(mask.astype(np.float32))
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        assert inner_pixel(mask, padded=False) == (x, y)


def test_padding_keeps_the_point_of_a_cut_object_off_the_edge():
    mask = np.zeros((40, 60), np.bool_)
    mask[10:30, :20] = True
    assert inner_pixel(mask, padded=False)[0] == 0
    x, y = inner_pixel(mask)
    assert 8 <= x <= 11
    assert 18 <= y <= 21


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_the_largest_component_is_that_of_a_flood_fill(mask):
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    best = 0
    while left:
        todo, size = [left.pop()], 0
        while todo:
            y, x = todo.pop()
            size += 1
            near = {(y + v, x + u) for v in (-1, 0, 1) for u in (-1, 0, 1)} & left
            left -= near
            todo += near
        best = max(best, size)
    assert largest_component(mask) == best


def test_the_two_conventions_are_those_of_edges_and_of_pixels():
    mask = np.zeros((10, 20), np.bool_)
    mask[2:7, 4:9] = True
    assert edge_truth(mask).box == (200, 200, 450, 700)
    assert edge_truth(mask).point == (round(6.5 / 20 * 1000), 450)
    assert pixel_truth(mask).box == (200, 200, 400, 600)
    assert pixel_truth(mask).point == (300, 400)


def test_a_tiny_object_has_a_box_that_is_not_empty():
    mask = np.zeros((4000, 4000), np.bool_)
    mask[-1, -1] = True
    assert edge_truth(mask).box == (999, 999, 1000, 1000)
    assert in_units((0.5, 0.5, 0.5, 0.5), (0.5, 0.5)).box == (500, 500, 501, 501)


def test_areas_are_parts_of_the_largest_shown():
    small, large = np.zeros((8, 8), np.bool_), np.zeros((8, 8), np.bool_)
    small[:2, :2] = True
    large[0:2, :] = True
    large[0:2, 3] = False  # two parts, of 6 and of 8 pixels
    truths = frame_truths({3: small, 5: large, 9: np.zeros((8, 8), np.bool_)})
    assert set(truths) == {3, 5}
    assert (truths[3].area, truths[5].area) == (4 / 14, 1)
    assert (truths[3].max_conn_area, truths[5].max_conn_area) == (4 / 8, 1)
    assert frame_truths({}) == {}


@pytest.mark.parametrize("measure", [edge_truth, pixel_truth, inner_pixel])
def test_an_empty_mask_has_no_truth(measure):
    with pytest.raises(ValueError, match="empty"):
        measure(np.zeros((3, 3), np.bool_))
    assert largest_component(np.zeros((3, 3), np.bool_)) == 0
