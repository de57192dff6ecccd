"""Published data sets with a class at every pixel: each layout means the same labels, and what is wrong is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from labelled_fixtures import (
    IGNORED,
    SIZE,
    TRUTHS,
    Write,
    a_150,
    a_150_prepared,
    a_847,
    camvid,
    panoptic,
    pas_20,
    pas_20_fc_clip,
    pas_20_prepared,
    pc_59,
    pc_59_fc_clip,
    pc_459,
    write_lines,
)  # fmt: skip

from evals.datasets.ade20k import read_ade20k_150, read_ade20k_847
from evals.datasets.ade20k_panoptic import AdePanoptic
from evals.datasets.camvid import read_camvid
from evals.datasets.class_names import read_classes
from evals.datasets.label_files import LabelFiles
from evals.datasets.pascal_context import read_context_59, read_context_459
from evals.datasets.voc import read_voc_20
from tools.errors import InputError, MediaError


def read_847(data: Path, n: int | None = None) -> LabelFiles:
    return read_ade20k_847(data, n, classes=data / "847.txt")


@pytest.mark.parametrize(
    ("write", "read", "classes", "third"),
    [
        (a_150, read_ade20k_150, 150, ("thing 3", "synonym 3")),
        (a_150_prepared, read_ade20k_150, 150, ("thing 3", "synonym 3")),
        (a_847, read_847, 847, ("thing 2",)),
        (pc_59, read_context_59, 59, ("bed",)),
        (pc_59_fc_clip, read_context_59, 59, ("bed",)),
        (pc_459, read_context_459, 459, ("thing3",)),
        (pas_20, read_voc_20, 20, ("bird",)),
        (pas_20_prepared, read_voc_20, 20, ("bird",)),
        (pas_20_fc_clip, read_voc_20, 20, ("bird",)),
        (camvid, read_camvid, 11, ("pole", "column pole")),
    ],
)
def test_every_layout_means_the_same_labels(
    tmp_path: Path, write: Write, read: Callable[..., LabelFiles], classes: int, third: tuple[str, ...]
) -> None:
    data = write(tmp_path)
    dataset = read(data)
    assert [dataset[i].id for i in range(len(dataset))] == list(TRUTHS)
    for i, truth in enumerate(TRUTHS.values()):
        np.testing.assert_array_equal(dataset[i].truth, truth)
        assert dataset[i].image().shape == (*SIZE, 3)
    assert len(dataset.vocabulary) == classes
    assert dataset.vocabulary.classes[2].names == third
    assert len(read(data, 1)) == 1
    with pytest.raises(IndexError):
        dataset[2]


def test_labels_beyond_eight_bits_are_read_whole(tmp_path: Path) -> None:
    data = a_847(tmp_path)
    numbers = np.full(SIZE, 65535, np.uint16)
    numbers[0], numbers[1], numbers[2] = 846, 300, 255
    PIL.Image.fromarray(numbers).save(
        data / "ADE20K_2021_17_01/annotations_detectron2/validation/a.tif", compression="tiff_lzw"
    )
    truth = read_847(data)[0].truth
    assert truth[:4, 0].tolist() == [846, 300, 255, IGNORED]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = a_150(tmp_path)
    with pytest.raises(InputError, match=r"images/images/validation is missing.*annotations_detectron2"):
        read_ade20k_150(root / "images", classes=write_lines(tmp_path / "150.txt", ["x"] * 150))
    (root / "annotations/validation/b.png").unlink()
    with pytest.raises(InputError, match=r"annotations/validation/b\.png is missing, one of 1 files"):
        read_ade20k_150(root)
    shutil.rmtree(root / "images/validation")
    with pytest.raises(InputError, match=r"images/validation is missing"):
        read_ade20k_150(root)
    (root / "objectInfo150.txt").unlink()
    with pytest.raises(InputError, match=r"objectInfo150\.txt cannot be read"):
        read_ade20k_150(root)
    with pytest.raises(InputError, match=r"847 classes are in no file .*--classes FILE"):
        read_ade20k_847(a_847(tmp_path / "full"), classes=None)
    context = pc_459(tmp_path)
    (context / "labels.txt").unlink()
    with pytest.raises(InputError, match=r"labels\.txt is missing.*--classes"):
        read_context_459(context)
    (pc_59(tmp_path) / "VOCdevkit/VOC2010/JPEGImages/b.jpg").unlink()
    with pytest.raises(InputError, match=r"JPEGImages/b\.jpg is missing"):
        read_context_59(tmp_path)
    (pas_20(tmp_path) / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(InputError, match=r"val\.txt cannot be read"):
        read_voc_20(tmp_path)


def test_labels_that_are_none_are_one_clear_error(tmp_path: Path) -> None:
    data = camvid(tmp_path)
    numbers = np.zeros(SIZE, np.uint8)
    numbers[3, 4] = 12
    PIL.Image.fromarray(numbers).save(data / "labels/a.png")
    with pytest.raises(InputError, match=r"a\.png has the label 12; classes are 0 to 10, and ignored: 11\."):
        read_camvid(data)[0]
    voc = pas_20(tmp_path)
    PIL.Image.fromarray(np.full(SIZE, 21, np.uint8)).save(voc / "VOCdevkit/VOC2012/SegmentationClass/a.png")
    with pytest.raises(InputError, match=r"has the label 21; classes are 1 to 20, and ignored: 0, 255\."):
        read_voc_20(voc)[0]
    PIL.Image.new("RGB", SIZE[::-1]).save(data / "labels/a.png")
    with pytest.raises(MediaError, match=r"one integer a pixel, these are uint8 \(12, 16, 3\)"):
        read_camvid(data)[0]
    (data / "labels/a.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"a\.png cannot be read"):
        read_camvid(data)[0]
    PIL.Image.new("RGB", (16, 13)).save(data / "images/b.jpg")
    assert read_camvid(data)[1].truth.shape == SIZE
    with pytest.raises(MediaError, match=r"b\.jpg is 16x13 and its labels are 16x12"):
        read_camvid(data)[1].image()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("wall, walls\n\nsky\n", [("wall", "walls"), ("sky",)]),
        ("0:invalid_class_id\n1:wall,walls\n2:sky\n", [("wall", "walls"), ("sky",)]),
        ('["wall, walls", "sky"]', [("wall", "walls"), ("sky",)]),
        ("wall: brick\nsky\n", [("wall: brick",), ("sky",)]),
    ],
)
def test_lists_of_classes_are_read_as_they_are_published(tmp_path: Path, text: str, names: list[tuple]) -> None:
    (tmp_path / "names").write_text(text)
    assert [one.names for one in read_classes(tmp_path / "names", 2).classes] == names
    with pytest.raises(InputError, match="has 2 classes, the data set has 3"):
        read_classes(tmp_path / "names", 3)


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    for text, told in (("wall\n , \n", "class 2 .* has no name"), ("[1", "cannot be read"), ("", "has 0 classes")):
        (tmp_path / "names").write_text(text)
        with pytest.raises(InputError, match=told):
            read_classes(tmp_path / "names", 2)


@pytest.mark.parametrize(
    ("write", "read", "names"),
    [
        (a_150, read_ade20k_150, "ADEChallengeData2016/objectInfo150.txt"),
        (pc_459, read_context_459, "VOC2010/labels.txt"),
    ],
)
def test_a_published_list_in_another_order_is_refused(
    tmp_path: Path, write: Write, read: Callable[..., LabelFiles], names: str
) -> None:
    data = write(tmp_path)
    first, *lines = (tmp_path / names).read_text().splitlines()
    write_lines(tmp_path / names, [first, *reversed(lines)])
    with pytest.raises(InputError, match="does not number its classes from 1"):
        read(data)


def test_panoptic_truth_is_what_can_be_seen(tmp_path: Path) -> None:
    panoptic(tmp_path)
    dataset = AdePanoptic(tmp_path)
    assert [(one.names, one.thing) for one in dataset.vocabulary.classes] == [
        (("wall",), False),
        (("cat", "kitty"), True),
        (("ball",), True),
        (("sky",), False),
    ]
    sample = dataset[0]
    assert (sample.id, sample.size, sample.image().shape) == ("a", SIZE, (*SIZE, 3))
    found = {s.id: (s.category, s.crowd, int((sample.truth.ids == s.id).sum())) for s in sample.truth.segments}
    # The sky (9) is hidden; categories are places in the list, not ids.
    assert found == {70000: (0, False, 48), 300: (1, False, 24), 301: (1, False, 24), 5: (2, True, 18)}
    assert len(AdePanoptic(tmp_path / "ADEChallengeData2016", 1)) == 1


def test_panoptic_files_that_do_not_agree_are_named(tmp_path: Path) -> None:
    panoptic(tmp_path)
    root = tmp_path / "ADEChallengeData2016"
    listed = root / "ade20k_panoptic_val.json"
    plain = json.loads(listed.read_text())
    del plain["annotations"][0]["segments_info"][1]
    plain["annotations"][1]["segments_info"][0]["category_id"] = 77
    listed.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"a\.png has segments that the JSON file lacks: 300"):
        AdePanoptic(tmp_path)[0]
    with pytest.raises(InputError, match=r"segments of .*b\.png cannot be read: KeyError: 77"):
        AdePanoptic(tmp_path)[1]
    (root / "ade20k_panoptic_val/b.png").unlink()
    with pytest.raises(InputError, match="segments of b are missing, one of 1 files"):
        AdePanoptic(tmp_path)
    PIL.Image.new("L", SIZE[::-1]).save(root / "ade20k_panoptic_val/a.png")
    plain["annotations"].pop()
    listed.write_text(json.dumps(plain))
    with pytest.raises(MediaError, match="no three bytes"):
        AdePanoptic(tmp_path)[0]
    listed.write_text("{}")
    with pytest.raises(InputError, match="not in COCO's panoptic format"):
        AdePanoptic(tmp_path)
    listed.unlink()
    with pytest.raises(InputError, match=r"ade20k_panoptic_val\.json is missing"):
        AdePanoptic(tmp_path)
