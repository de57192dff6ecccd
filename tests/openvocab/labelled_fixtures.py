"""Small labelled data sets in their published layouts, and the labels that they mean."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from dataset_fixtures import noise, save

Write = Callable[[Path], Path]
"""Writes a data set into a folder, and returns what is given as DATA."""
IGNORED = -1
SIZE = (12, 16)
TRUTHS = {
    # 96 pixels of class 0, 48 of class 1 and 16 of class 2; then 48 each of classes 1, 2 and 3. The rest is ignored.
    "a": np.repeat([0, 0, 0, 0, 0, 0, 1, 1, 1, IGNORED, IGNORED, 2], 16).reshape(SIZE).astype(np.int32),
    "b": np.tile(np.repeat([1, 2, 3, IGNORED], 4), (12, 1)).astype(np.int32),
}
VOC_PALETTE = [value for number in range(256) for value in ((number * 67) % 256, (number * 29) % 256, number)]


def pictures(folder: Path, names: Sequence[str] = tuple(TRUTHS)) -> None:
    for number, name in enumerate(names):
        save(noise(*SIZE, seed=number), folder / f"{name}.jpg", quality=95)


def labels(
    folder: Path, *, first: int, ignored: int, suffix: str = ".png", dtype: type = np.uint8, palette: bool = False
) -> None:
    """Write `TRUTHS` as files: the first class is `first`, what does not count is `ignored`."""
    for name, truth in TRUTHS.items():
        numbers = np.where(truth == IGNORED, ignored, truth + first).astype(dtype)
        picture = PIL.Image.fromarray(numbers)
        if palette:
            picture.putpalette(VOC_PALETTE)
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{name}{suffix}")


def write_lines(path: Path, lines: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def object_info(path: Path, *, stuff: bool) -> Path:
    """Write ADE20K's list of classes: with the column "Stuff" as in the archive, or without as on GitHub."""
    more = ["1"] if stuff else []
    rows = [["Idx", "Ratio", "Train", "Val", *(["Stuff"] if stuff else []), "Name"]]
    rows += [[f"{n} ", "0.1", "9", "2", *more, f"thing {n}, synonym {n} "] for n in range(1, 151)]
    return write_lines(path, ["\t".join(row) for row in rows])


def a_150(data: Path) -> Path:
    root = data / "ADEChallengeData2016"
    pictures(root / "images/validation")
    labels(root / "annotations/validation", first=1, ignored=0)
    object_info(root / "objectInfo150.txt", stuff=True)
    return root


def a_150_prepared(data: Path) -> Path:
    root = data / "ADEChallengeData2016"
    pictures(root / "images/validation")
    labels(root / "annotations_detectron2/validation", first=0, ignored=255)
    object_info(root / "objectInfo150.txt", stuff=False)
    return data


def a_847(data: Path) -> Path:
    root = data / "ADE20K_2021_17_01"
    pictures(root / "images_detectron2/validation")
    labels(root / "annotations_detectron2/validation", first=0, ignored=65535, suffix=".tif", dtype=np.uint16)
    write_lines(data / "847.txt", [f"thing {number}" for number in range(847)])
    return data


def pc_59(data: Path) -> Path:
    pictures(data / "VOCdevkit/VOC2010/JPEGImages", [*TRUTHS, "another"])
    labels(data / "VOCdevkit/VOC2010/annotations_detectron2/pc59_val", first=0, ignored=255)
    return data


def pc_59_fc_clip(data: Path) -> Path:
    pictures(data / "pascal_ctx_d2/images/validation")
    labels(data / "pascal_ctx_d2/annotations_ctx59/validation", first=0, ignored=255)
    return data


def pc_459(data: Path) -> Path:
    root = data / "VOC2010"
    pictures(root / "JPEGImages")
    labels(root / "annotations_detectron2/pc459_val", first=0, ignored=65535, suffix=".tif", dtype=np.uint16)
    write_lines(root / "labels.txt", ["The labels:", *(f"{n}: thing{n}" for n in range(1, 460))])
    return root


def pas_20(data: Path) -> Path:
    root = data / "VOCdevkit/VOC2012"
    pictures(root / "JPEGImages")
    labels(root / "SegmentationClass", first=1, ignored=0, palette=True)
    shutil.copy(root / "SegmentationClass/a.png", root / "SegmentationClass/train.png")
    write_lines(root / "ImageSets/Segmentation/val.txt", list(TRUTHS))
    return data


def pas_20_prepared(data: Path) -> Path:
    pictures(data / "JPEGImages")
    labels(data / "annotations_detectron2/val", first=0, ignored=255)
    return data


def pas_20_fc_clip(data: Path) -> Path:
    pictures(data / "pascal_voc_d2/images/validation")
    labels(data / "pascal_voc_d2/annotations_pascal20/validation", first=0, ignored=255)
    return data


def camvid(data: Path) -> Path:
    pictures(data / "images")
    labels(data / "labels", first=0, ignored=11)
    return data


def panoptic(data: Path) -> None:
    """Write two pictures. The first has a thing of each of two, stuff under them, a crowd, and stuff wholly hidden."""
    root = data / "ADEChallengeData2016"
    pictures(root / "images" / "validation")
    ids = np.zeros((2, *SIZE), np.int32)
    ids[0, :, :8], ids[0, 2:6, 1:7], ids[0, 7:11, 1:7], ids[0, :3, 10:] = 70000, 300, 301, 5
    ids[1, :, :12], ids[1, :, 12:] = 300, 7
    for name, some in zip("ab", ids, strict=True):
        channels = np.stack([some % 256, some // 256 % 256, some // 65536], axis=2).astype(np.uint8)
        save(channels, root / "ade20k_panoptic_val" / f"{name}.png")
    segments = (
        [(70000, 3, 0), (300, 0, 0), (301, 0, 0), (5, 10, 1), (9, 5, 0)],
        [(300, 3, 0), (7, 10, 0)],
    )
    plain = {
        "categories": [
            {"id": 3, "name": "wall ", "isthing": 0},
            {"id": 0, "name": "cat, kitty", "isthing": 1},
            {"id": 10, "name": "ball", "isthing": 1},
            {"id": 5, "name": "sky", "isthing": 0},
        ],
        "images": [{"id": name, "file_name": f"{name}.jpg", "height": 12, "width": 16} for name in "ab"],
        "annotations": [
            {
                "image_id": name,
                "file_name": f"{name}.png",
                "segments_info": [{"id": i, "category_id": c, "iscrowd": crowd, "area": 999} for i, c, crowd in some],
            }
            for name, some in zip("ab", segments, strict=True)
        ],
    }
    (root / "ade20k_panoptic_val.json").write_text(json.dumps(plain))
