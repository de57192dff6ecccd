import json

import dataset_fixtures as make
import numpy as np
import pytest

from rl.tasks import NAMES, open_tasks
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError

TRUTH = make.block(20, 30, slice(4, 10), slice(6, 21))


def write(name, data):
    if name == "ok-vos":
        make.ok_vos(data, "train")
    elif name == "reason-seg":
        make.reason_seg(data, "train", "a", [("target", [[1, 1], [9, 1], [9, 9]])], ["x"])
    elif name in ("seg-zero", "vision-reasoner"):
        solution = json.dumps([{"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]}])
        make.write_parquet(data / "train.parquet", [make.vision_reasoner_row(solution)])
    else:
        folders = {"duts": ("DUTS-TR-Image", "DUTS-TR-Mask"), "dis5k": ("im", "gt")}.get(name, ("Imgs", "GT"))
        make.save(make.noise(20, 30), data / folders[0] / "a.jpg")
        make.save((TRUTH * 255).astype(np.uint8), data / folders[1] / "a.png")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "emblems"])
def test_every_name_opens_its_published_layout(tmp_path, name):
    write(name, tmp_path)
    source = open_tasks(name, tmp_path, "train", 3, 1)
    assert len(source) == 1
    task, again = source[0], open_tasks(name, tmp_path, "train", 3)[0]
    assert task.truth == again.truth
    assert task.task.query
    for index in range(len(task.task.media)):
        image = task.task.media[index]
        assert image.dtype == np.uint8
        assert image.ndim == 3
    with pytest.raises(IndexError):
        source[1]
    with pytest.raises(InputError, match=r"0 (tasks|samples)"):
        open_tasks(name, tmp_path, n=0)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "emblems"])
def test_missing_data_are_named(tmp_path, name):
    with pytest.raises(InputError, match="on disk"):
        open_tasks(name)
    with pytest.raises(InputError, match="nowhere is missing"):
        open_tasks(name, tmp_path / "nowhere")
    with pytest.raises(InputError, match="missing"):
        open_tasks(name, tmp_path)


def test_a_mask_is_one_object_and_none_is_absent(tmp_path):
    for stem, truth in (("a", TRUTH), ("b", np.zeros_like(TRUTH))):
        make.save(make.noise(20, 30), tmp_path / "im" / f"{stem}.jpg")
        make.save((truth * 255).astype(np.uint8), tmp_path / "gt" / f"{stem}.png")
    seen, absent = open_tasks("dis5k", tmp_path)
    (thing,) = seen.truth.frames[0].objects
    assert thing.box == (200, 200, 700, 500)
    assert absent.truth.absent
    assert seen.truth.steps_known
    make.reason_seg(tmp_path, "val", "a", [("target", [[10, 10], [29, 10], [29, 39], [10, 39]])], ["what is it?"])
    asked = open_tasks("reason-seg", tmp_path, "val")[0]
    assert asked.truth.frames[0].objects[0].box == (125, round(1000 / 6), 375, round(4000 / 6))
    assert not asked.truth.steps_known


def test_emblems_need_no_data():
    source = open_tasks("emblems", None, "val", 2, 3)
    assert len(source) == 3
    assert source[1].truth == EmblemsSource("val", 2, 9)[1].truth
    assert len(open_tasks("emblems", seed=2)) == 10_000


def test_the_parquet_form_of_reason_seg_is_told_by_its_files(tmp_path):
    make.write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", [make.reason_seg_row(TRUTH, "q", 0)])
    assert open_tasks("reason-seg", tmp_path, "val")[0].id == "pic0-0"
    file = tmp_path / "data" / "test-00000-of-00001.parquet"
    assert open_tasks("reason-seg", file, "val")[0].id == "pic0-0"


def test_an_unknown_name_lists_the_names(tmp_path):
    with pytest.raises(InputError, match="fly") as error:
        open_tasks("fly", tmp_path)
    assert all(name in error.value.remedy for name in NAMES)
