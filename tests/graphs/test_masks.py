import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphs.masks import MaskStore, decode_rle, encode_rle

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


def runs(mask: np.ndarray) -> list[int]:
    """Column-major run lengths, zeros first: the definition of COCO's encoding, done the slow way."""
    flat = mask.ravel(order="F")
    lengths, value = [0], False
    for pixel in flat:
        if pixel != value:
            lengths.append(0)
            value = pixel
        lengths[-1] += 1
    return lengths


@given(hnp.arrays(bool, shapes))
def test_masks_survive_encoding(mask: np.ndarray) -> None:
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    assert np.array_equal(decode_rle(rle), mask)
    assert decode_rle(rle).dtype == bool


@given(hnp.arrays(bool, shapes))
def test_equal_runs_mean_equal_counts(mask: np.ndarray) -> None:
    assert (encode_rle(mask)["counts"] == encode_rle(~mask)["counts"]) == (runs(mask) == runs(~mask))


@given(st.lists(hnp.arrays(bool, (5, 7)), min_size=1, max_size=3))
def test_the_union_of_targets(masks: list[np.ndarray]) -> None:
    store = MaskStore()
    store.put(4, masks)
    union = store.union(4)
    assert union is not None
    assert np.array_equal(union, np.any(masks, axis=0))
    assert store.frames() == [4]
    assert len(store) == len(masks)


def test_what_was_never_cut_is_none() -> None:
    assert MaskStore().get(0, 0) is None
    assert MaskStore().rle(0, 0) is None
    assert MaskStore().union(0) is None


@pytest.mark.parametrize("frames", [300])
def test_a_long_clip_costs_kilobytes(frames: int) -> None:
    yy, xx = np.mgrid[:480, :640]
    disc = (yy - 240) ** 2 + (xx - 320) ** 2 < 100**2
    store = MaskStore()
    for frame in range(frames):
        store.put(frame, [disc])
    size = sum(len(store.rle(*key)["counts"]) for key in store)  # type: ignore[index]
    assert size < 1000 * frames  # raw: 307,200 bytes a frame
