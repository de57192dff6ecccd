import cv2
import dataset_fixtures as make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.datasets.reason_seg import ReasonSeg, read_annotation
from evals.datasets.seg_zero import SegZeroSet
from tools.errors import InputError

SQUARE = [[10, 10], [29, 10], [29, 39], [10, 39]]
INNER = [[15, 15], [19, 15], [19, 24], [15, 24]]
BESIDE = [[50, 5], [59, 5], [59, 14], [50, 14]]


def test_polygons_are_exact_and_ignored_regions_are_no_target(tmp_path):
    shapes = [("ignore", INNER), ("target", SQUARE), ("Ignored area", BESIDE), ("flag", [[0, 0], [79, 59], [0, 59]])]
    make.reason_seg(tmp_path, "val", "a", shapes, [" what is it? ", "the other way"])
    source = ReasonSeg(tmp_path, "val")
    sample = source[0]
    target, inner = make.block(60, 80, slice(10, 40), slice(10, 30)), make.block(60, 80, slice(15, 25), slice(15, 20))
    (mask,) = sample.masks(0)
    assert np.array_equal(mask, target & ~inner)
    assert mask.sum() == 20 * 30 - 5 * 10
    assert np.array_equal(sample.ignored, inner | make.block(60, 80, slice(5, 15), slice(50, 60)))
    assert (len(source), sample.query, sample.id, sample.group) == (1, "what is it?", "a-0", "long query")
    assert len(sample.media) == 1
    assert sample.media[0].shape == (60, 80, 3)
    with pytest.raises(IndexError):
        sample.masks(1)


def test_a_smaller_target_lies_on_top_of_what_is_ignored(tmp_path):
    path = make.reason_seg(tmp_path, "val", "a", [("target", INNER), ("ignore", SQUARE)], ["x"])
    annotation = read_annotation(path, 60, 80)
    assert annotation.target.sum() == 50
    assert annotation.ignored.sum() == 20 * 30 - 50


def lisa(shapes, height, width):
    """Official values: 1 target, 255 ignored; painted one over the other, the largest first."""
    canvases = []
    for label, points in shapes:
        if label != "flag":
            canvas = np.zeros((height, width), np.uint8)
            cv2.polylines(canvas, np.array([points], np.int32), True, 1, 1)
            cv2.fillPoly(canvas, np.array([points], np.int32), 1)
            canvases.append((canvas.sum(), canvas.astype(bool), 255 if "ignore" in label else 1))
    mask = np.zeros((height, width), np.uint8)
    for _, canvas, value in sorted(canvases, key=lambda one: -int(one[0])):
        mask[canvas] = value
    return mask


CORNERS = st.lists(st.tuples(st.floats(-5, 90), st.floats(-5, 70)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["target", "ignore", "flag"]), CORNERS), max_size=4))
def test_any_polygons_give_lisas_values(tmp_path_factory, shapes):
    folder = tmp_path_factory.mktemp("one")
    annotation = read_annotation(make.reason_seg(folder, "val", "a", shapes, ["x"]), 60, 80)
    values = lisa(shapes, 60, 80)
    assert np.array_equal(annotation.target, values == 1)
    assert np.array_equal(annotation.ignored, values == 255)


def test_training_asks_every_text_and_evaluation_the_first(tmp_path):
    for split in ("train", "test"):
        make.reason_seg(tmp_path, split, "b", [("target", SQUARE)], ["one", "two"])
        make.reason_seg(tmp_path, split, "a", [("target", SQUARE)], ["zero"])
    queries = [sample.query for sample in ReasonSeg(tmp_path, "train")]
    assert queries == ["zero", "one", "two"]
    assert [sample.query for sample in ReasonSeg(tmp_path, "test")] == ["zero", "one"]
    assert len(ReasonSeg(tmp_path, "test", texts="all")) == 3
    assert len(ReasonSeg(tmp_path, "train", 2)) == 2


def test_a_picture_without_target_is_absent(tmp_path):
    make.reason_seg(tmp_path, "val", "a", [("ignore", SQUARE)], ["x"])
    assert ReasonSeg(tmp_path, "val")[0].masks(0) == ()


def test_an_old_encoding_is_read(tmp_path):
    make.reason_seg(tmp_path, "val", "a", [("target", SQUARE)], ["the café’s sign"], "cp1252")
    assert ReasonSeg(tmp_path, "val")[0].query == "the café’s sign"


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"<name>\.jpg is missing") as error:
        ReasonSeg(tmp_path, "val")
    assert "beside <name>.json" in error.value.remedy
    path = make.reason_seg(tmp_path, "val", "a", [("target", SQUARE)], ["x"])
    path.write_text('{"text": ["x"], "shapes": [{"label": "target"}]}')
    with pytest.raises(InputError, match=r"a\.json is no annotation"):
        ReasonSeg(tmp_path, "val")[0]
    for broken in ("{", "[]", '{"text": "x"}'):
        path.write_text(broken)
        with pytest.raises(InputError, match=r"a\.json"):
            ReasonSeg(tmp_path, "val")
    path.unlink()
    with pytest.raises(InputError, match=r"a\.json is missing"):
        ReasonSeg(tmp_path, "val")


@pytest.mark.parametrize("file", ["test.parquet", "data/test-00000-of-00001.parquet"])
def test_the_published_parquet_is_read(tmp_path, file):
    masks = [make.block(9 + i, 14, slice(2, 5 + i), slice(3, 9)) for i in range(5)] + [np.zeros((4, 6), bool)]
    make.write_parquet(tmp_path / file, [make.reason_seg_row(mask, f" q{i}", i) for i, mask in enumerate(masks)])
    source = SegZeroSet("reason-seg", tmp_path)
    assert len(source) == 6
    for index in (4, 0, 3, 1):
        sample = source[index]
        assert (sample.query, sample.id) == (f"q{index}", f"pic{index}-{index}")
        assert np.array_equal(sample.masks(0)[0], masks[index])
        assert np.array_equal(sample.media[0], make.noise(9 + index, 14, index))
    assert source[-1].masks(0) == ()
    with pytest.raises(IndexError):
        source[6]


def test_a_mask_of_another_size_is_refused(tmp_path):
    row = make.reason_seg_row(np.ones((4, 6), bool), "q", 0)
    make.write_parquet(tmp_path / "test.parquet", [{**row, "img_height": 5}])
    with pytest.raises(InputError, match="pic0-0 is not 6x5"):
        SegZeroSet("reason-seg", tmp_path)[0]
    picture = make.png(make.noise(6, 4))
    make.write_parquet(tmp_path / "test.parquet", [{**row, "image": picture}])
    with pytest.raises(InputError, match="its picture"):
        SegZeroSet("reason-seg", tmp_path)[0]
