"""PASCAL VOC 2012: its 1,449 validation pictures with 20 classes, the background ignored ("PAS-20").

    DATA/JPEGImages/<name>.jpg
    DATA/annotations_detectron2/val/<name>.png    255 ignored, classes from 0; as prepared for CAT-Seg and MAFT+
    DATA/SegmentationClass/<name>.png             as published: 0 background, 255 border, classes from 1, with a palette
    DATA/ImageSets/Segmentation/val.txt           names, needed for these
    DATA/images/validation, DATA/annotations_pascal20/validation    pascal_voc_d2 as prepared for ODISE and FC-CLIP

DATA may also be a folder that holds VOCdevkit/VOC2012 or pascal_voc_d2. Without background no prediction outside of the
objects can be wrong, so numbers are far above those of the 21 classes.
"""

from pathlib import Path

from evals.datasets.class_names import read_classes
from evals.datasets.label_files import LabelFiles, LabelLayout, find_root
from graphs.openvocab import Vocabulary

NAMES_20 = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table", "dog",
    "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
_LAYOUTS = (
    LabelLayout(images="JPEGImages", labels="annotations_detectron2/val"),
    LabelLayout(
        images="JPEGImages",
        labels="SegmentationClass",
        first=1,
        ignored=(0, 255),
        stems="ImageSets/Segmentation/val.txt",
    ),
    LabelLayout(images="images/validation", labels="annotations_pascal20/validation", whole=True),
)


def read_voc_20(data: Path, n: int | None = None, *, classes: Path | None = None) -> LabelFiles:
    """Open the validation pictures; `classes` takes the place of `NAMES_20`."""
    names = Vocabulary.of(NAMES_20) if classes is None else read_classes(classes, 20)
    return LabelFiles(find_root(data, "VOCdevkit/VOC2012", "VOC2012", "pascal_voc_d2"), _LAYOUTS, names, n)
