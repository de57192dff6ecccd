import json
import sys

import dataset_fixtures as make
import numpy as np
import PIL.Image
import pytest

from evals.datasets.parquet import ParquetRows, find_parquet
from evals.datasets.seg_zero import SegZeroSet
from rl.rewards.base import ObjectTruth
from rl.tasks.fcot import FCoTSource
from rl.tasks.vision_reasoner import VisionReasonerSource, read_solution
from tools.errors import InputError, MediaError

ONE = "<box>(10,100),(200,210)</box><points>(30,110),(35,180)</points>"
MANY = [
    {"bbox_2d": [10, 100, 200, 210], "point_2d": [30, 110]},
    {"bbox_2d": [225, 296, 706, 786], "point_2d": [302, 410]},
]


def test_both_published_forms_of_a_solution_are_read():
    assert read_solution(ONE) == (ObjectTruth((10, 100, 200, 210), (30, 110), (35, 180)),)
    assert read_solution(" <box>(10, 100), (200,210)</box> <points>(30,110),( 35,180)</points>\n") == read_solution(ONE)
    assert read_solution(json.dumps(MANY)) == (
        ObjectTruth((10, 100, 200, 210), (30, 110)),
        ObjectTruth((225, 296, 706, 786), (302, 410)),
    )
    assert read_solution("[]") == ()


@pytest.mark.parametrize(
    "solution",
    [
        "",
        "{",
        "3",
        "<box>(1,2)</box><points>(1,2),(3,4)</points>",
        "<box>(1,2),(3,4)</box><points>(1,2)</points>",
        '[{"bbox_2d": [1, 2, 3], "point_2d": [1, 2]}]',
        '[{"bbox_2d": [1, 2, 3, 4]}]',
    ],
)
def test_a_broken_solution_is_named(solution):
    with pytest.raises(InputError, match="solution of r7"):
        read_solution(solution, "r7")


def test_vision_reasoner_tasks_are_in_pixels_of_840(tmp_path):
    rows = [make.vision_reasoner_row(ONE), make.vision_reasoner_row(json.dumps(MANY), "'a' and 'b'", 1)]
    make.write_parquet(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    source = VisionReasonerSource(tmp_path)
    single, several = source
    assert (several.id, several.task.query) == ("r1", "'a' and 'b'")
    assert [len(task.truth.frames[0].objects) for task in (single, several)] == [1, 2]
    assert several.truth.frames[0].objects[1].box == (225, 296, 706, 786)
    assert single.task.media[0].shape == (840, 840, 3)
    assert (single.masks, single.units) == (None, 840)


def test_demonstrations_say_what_was_published(tmp_path):
    rows = [make.demonstration_row(0), make.demonstration_row(1, system=None), make.demonstration_row(2)]
    make.write_parquet(tmp_path / "train.parquet", rows)
    source = FCoTSource(tmp_path)
    assert len(source) == 3
    demonstration = source[1]
    assert demonstration.prompt == "find 1"
    assert demonstration.target == (
        "<think>1</think> <bbox>[1,2,3,4]</bbox>, <points>[[2,3]]</points>, <labels>[1]</labels>"
    )
    assert demonstration.system == ""
    assert np.array_equal(demonstration.image, make.noise(12, 16, 1))
    make.write_parquet(tmp_path / "train.parquet", [make.demonstration_row(0, system="think first")])
    assert FCoTSource(tmp_path)[0].system == "think first"


def test_what_the_datasets_library_writes_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    pictures = [PIL.Image.fromarray(make.noise(5, 7, i)) for i in range(3)]
    masks = [make.block(5, 7, slice(1, 3 + i), slice(2, 5)) for i in range(3)]
    features = datasets.Features(
        image=datasets.Image(),
        text=datasets.Value("string"),
        mask=datasets.Sequence(datasets.Sequence(datasets.Value("bool"))),
        image_id=datasets.Value("string"),
        img_height=datasets.Value("int64"),
        img_width=datasets.Value("int64"),
    )
    columns = {"image": pictures, "text": list("abc"), "mask": [mask.tolist() for mask in masks]}
    columns |= {"image_id": list("xyz"), "img_height": [5] * 3, "img_width": [7] * 3}
    published = datasets.Dataset.from_dict(columns, features=features)
    published.to_parquet(tmp_path / "data-test.parquet")
    for index, task in enumerate(SegZeroSet("reason-seg", tmp_path / "data-test.parquet")):
        assert np.array_equal(task.task.media[0], make.noise(5, 7, index))
        assert np.array_equal(task.masks(0)[0], masks[index])


def test_a_picture_that_is_not_in_the_file_is_named(tmp_path):
    for picture in ({"bytes": None, "path": "a.jpg"}, {"bytes": b"no picture", "path": None}):
        make.write_parquet(tmp_path / "train.parquet", [make.demonstration_row(0, image=picture)])
        with pytest.raises(MediaError, match="FCoT's row 0"):
            FCoTSource(tmp_path)[0]


def test_rows_of_several_files_are_one_list_in_any_order(tmp_path):
    for part in range(3):
        rows = [{"a": 10 * part + i, "b": str(i)} for i in range(5)]
        make.write_parquet(tmp_path / f"train-{part:05d}-of-00003.parquet", rows)
    files = find_parquet(tmp_path, "train", "layout")
    rows = ParquetRows(files, ("a", "b"), "layout")
    order = np.random.default_rng(0).permutation(15).tolist()
    assert [rows.row(i, ("a",))["a"] for i in order] == [10 * (i // 5) + i % 5 for i in order]
    assert rows.row(-1, ("b", "c")) == {"b": "4", "c": None}
    with pytest.raises(IndexError):
        rows.row(15, ("a",))


@pytest.mark.parametrize("source", [VisionReasonerSource, FCoTSource])
def test_a_missing_file_is_named_with_the_layout(tmp_path, source):
    with pytest.raises(InputError, match=r"train\.parquet is missing") as error:
        source(tmp_path)
    assert "-*.parquet" in error.value.remedy


def test_without_pyarrow_the_remedy_says_what_to_install(tmp_path, monkeypatch):
    make.write_parquet(tmp_path / "train.parquet", [make.demonstration_row(0)])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match="pyarrow") as error:
        FCoTSource(tmp_path)
    assert error.value.remedy == "pip install --editable '.[train]'"
