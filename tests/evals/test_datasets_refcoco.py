"""RefCOCO and its kin in the refer API's layout, and pickles that are only data."""

import json
import os
import pickle

import dataset_fixtures as make
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from evals.datasets.coco_masks import annotated_mask
from evals.datasets.plain_pickle import load_plain_pickle
from evals.datasets.refcoco import RefCOCO
from tools.errors import InputError, MediaError

LEFT = [[10, 10, 30, 10, 30, 40, 10, 40]]
SPLIT_IN_TWO = [[10, 10, 20, 10, 20, 20, 10, 20], [40, 30, 50, 30, 50, 40, 40, 40]]
OVERLAPPING = [[10, 10, 30, 10, 30, 20, 10, 20], [20, 10, 40, 10, 40, 20, 20, 20]]
PICTURE = make.noise(60, 80)


def block(*boxes):
    mask = np.zeros((60, 80), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(("name", "by"), [("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")])
def test_every_expression_is_a_sample(tmp_path, name, by):
    pictures = [
        (PICTURE, [(["left thing", " the one "], [LEFT]), (["two parts"], [SPLIT_IN_TWO])]),
        (make.noise(50, 40, 1), [(["third"], [[[0, 0, 9, 0, 9, 9, 0, 9]]])]),
    ]
    make.refcoco(tmp_path, name, pictures, by=by)
    source = RefCOCO(name, tmp_path)
    assert [source[i].query for i in range(len(source))] == ["left thing", "the one", "two parts", "third"]
    assert [source[i].id for i in range(len(source))] == ["0-0", "0-1", "1-2", "2-3"]
    assert np.array_equal(source[1].masks(0)[0], block((10, 10, 30, 40)))
    assert np.array_equal(source[2].masks(0)[0], block((10, 10, 20, 20), (40, 30, 50, 40)))
    assert source[3].media[0].shape == (50, 40, 3)
    assert len(RefCOCO(name, tmp_path, n=2)) == 2
    assert RefCOCO(name, tmp_path, n=3)[2].query == "two parts"
    with pytest.raises(IndexError):
        source[4]


def test_partitions_and_splits(tmp_path):
    make.refcoco(tmp_path, "refcocog", [(PICTURE, [(["umd"], [LEFT])])], "test", "umd")
    make.refcoco(tmp_path, "refcocog", [(PICTURE, [(["google"], [LEFT])])], "val", "google")
    assert RefCOCO("refcocog", tmp_path, "test")[0].query == "umd"
    assert RefCOCO("refcocog", tmp_path, "google-val")[0].query == "google"
    with pytest.raises(InputError, match=r"refs\(umd\)\.p has no split 'val'") as error:
        RefCOCO("refcocog", tmp_path, "val")
    assert "It has test." in error.value.remedy
    for split in ("unc-val", "../../etc-val"):
        with pytest.raises(InputError, match="partitioned refcocog"):
            RefCOCO("refcocog", tmp_path, split)
    with pytest.raises(InputError, match="0 samples"):
        RefCOCO("refcocog", tmp_path, "test", 0)


def test_several_objects_and_none(tmp_path):
    below = [[10, 45, 30, 45, 30, 55, 10, 55]]
    make.refcoco(tmp_path, "grefcoco", [(PICTURE, [(["both"], [LEFT, below]), (["a zebra"], [])])])
    both, nothing = RefCOCO("grefcoco", tmp_path)
    assert [mask.sum() for mask in both.masks(0)] == [20 * 30, 20 * 10]
    assert nothing.masks(0) == ()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"refcoco/refs\(unc\)\.p is missing") as error:
        RefCOCO("refcoco", tmp_path)
    assert "images/mscoco/images/train2014" in error.value.remedy
    folder = make.refcoco(tmp_path, "refcoco", [(PICTURE, [(["x"], [LEFT])])])
    place = tmp_path / "images/mscoco/images/train2014"
    place.rename(tmp_path / "train2014")
    assert RefCOCO("refcoco", tmp_path)[0].query == "x"
    next((tmp_path / "train2014").iterdir()).unlink()
    with pytest.raises(InputError, match=r"COCO_train2014_0+\.jpg is missing"):
        RefCOCO("refcoco", tmp_path)[0]
    (tmp_path / "train2014").rmdir()
    with pytest.raises(InputError, match="train2014 is missing"):
        RefCOCO("refcoco", tmp_path)
    (tmp_path / "train2014").mkdir()
    (folder / "instances.json").unlink()
    with pytest.raises(InputError, match=r"instances\.json is missing"):
        RefCOCO("refcoco", tmp_path)


def changed(folder, **picture):
    plain = json.loads((folder / "instances.json").read_text())
    plain["images"][0].update(picture)
    (folder / "instances.json").write_text(json.dumps(plain))


def test_broken_annotations_are_named(tmp_path):
    folder = make.refcoco(tmp_path, "refcoco", [(PICTURE, [(["x"], [{"size": [9, 9], "counts": "01"}])])])
    with pytest.raises(InputError, match="run lengths are of 9x9 pixels, the picture of 80x60"):
        RefCOCO("refcoco", tmp_path)[0]
    changed(folder, height=61)
    with pytest.raises(MediaError, match="80x60 pixels, its annotations 80x61"):
        RefCOCO("refcoco", tmp_path)[0]
    changed(folder, id=7)
    with pytest.raises(InputError, match="lacks picture 0"):
        RefCOCO("refcoco", tmp_path)[0]
    changed(folder, id=0, height=60)
    plain = json.loads((folder / "instances.json").read_text())
    (folder / "instances.json").write_text(json.dumps({**plain, "annotations": []}))
    with pytest.raises(InputError, match="lacks object 0"):
        RefCOCO("refcoco", tmp_path)[0]
    for broken in ("{", "[]", '{"images": 3}'):
        (folder / "instances.json").write_text(broken)
        with pytest.raises(InputError, match=r"instances\.json"):
            RefCOCO("refcoco", tmp_path)
    for content in (b"", b"junk", pickle.dumps([{"split": "val"}]), pickle.dumps(3)):
        (folder / "refs(unc).p").write_bytes(content)
        with pytest.raises(InputError, match=r"refs\(unc\)\.p"):
            RefCOCO("refcoco", tmp_path)


def test_a_file_name_does_not_lead_out_of_the_folder(tmp_path):
    folder = make.refcoco(tmp_path / "data", "refcoco", [(PICTURE, [(["x"], [LEFT])])])
    make.save(PICTURE, tmp_path / "secret.jpg")
    for name in (f"{tmp_path}/secret.jpg", "../../../../../secret.jpg"):
        changed(folder, file_name=name)
        with pytest.raises(InputError, match=r"train2014/secret\.jpg is missing"):
            RefCOCO("refcoco", tmp_path / "data")[0]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_an_evil_pickle_runs_nothing(tmp_path, protocol):
    harm = tmp_path / "harm"
    content = pickle.dumps([{"ref_id": 1, "sentences": [Evil(harm)]}], protocol)
    pickle.loads(content)
    harm.rmdir()  # it does harm where it is simply loaded
    path = tmp_path / "refs(unc).p"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"the pickle asks for (posix|nt|os)\.mkdir"):
        load_plain_pickle(path, remedy="")
    assert not harm.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"(S'1'\nibuiltins\neval\n.",
        b"\x80\x02cposix\nsystem\n.",
        b"P0\n.",
        b"\x82\x01.",
    ],
    ids=["reduce", "instance", "the name alone", "persistent", "extension"],
)
def test_no_way_to_a_name_is_open(tmp_path, content):
    (tmp_path / "x.p").write_bytes(content)
    with pytest.raises(InputError):
        load_plain_pickle(tmp_path / "x.p", remedy="")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@settings(deadline=None, max_examples=40)
@given(PLAIN, st.integers(0, 5))
def test_plain_values_survive(tmp_path_factory, value, protocol):
    path = tmp_path_factory.mktemp("one") / "x.p"
    path.write_bytes(pickle.dumps(value, protocol))
    assert load_plain_pickle(path, remedy="") == value


def test_texts_of_python_2_are_read(tmp_path):
    (tmp_path / "x.p").write_bytes(b"\x80\x02}q\x00U\x04sentq\x01U\x05caf\xc3\xa9q\x02s.")
    assert load_plain_pickle(tmp_path / "x.p", remedy="") == {"sent": "café"}


def test_overlapping_polygons_are_one_mask():
    assert np.array_equal(annotated_mask(OVERLAPPING, 60, 80), block((10, 10, 40, 20)))
    assert not annotated_mask([], 60, 80).any()
    assert not annotated_mask([[1, 2, 3, 4]], 60, 80).any()  # two corners are no box
    for broken in (3, "polygons", [["a"] * 6], {"counts": "01"}):
        with pytest.raises(InputError, match="neither polygons nor run lengths"):
            annotated_mask(broken, 60, 80)


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(bool, (2, *shape))))
def test_run_lengths_of_every_kind_are_read(masks):
    one, other = masks
    compressed = make.rle(one)
    runs, inside = [0], False
    for pixel in one.ravel(order="F"):
        if pixel != inside:
            runs, inside = [*runs, 0], not inside
        runs[-1] += 1
    raw = coco.encode(np.asfortranarray(one, np.uint8))
    for segmentation in (compressed, [compressed], raw, {"size": list(one.shape), "counts": runs}):
        assert np.array_equal(annotated_mask(segmentation, *one.shape), one)
    assert np.array_equal(annotated_mask([compressed, make.rle(other)], *one.shape), one | other)
