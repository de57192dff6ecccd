"""ADE20K (MIT CSAIL, CVPR 2017): validation with 150 classes as of the 2016 challenge, and with 847 in full.

    DATA/images/validation/<name>.jpg                   150: ADEChallengeData2016
    DATA/annotations/validation/<name>.png              0 ignored, classes from 1; as published
    DATA/annotations_detectron2/validation/<name>.png   255 ignored, classes from 0; as prepared for detectron2
    DATA/objectInfo150.txt                              names

    DATA/images_detectron2/validation/<name>.jpg        847: ADE20K_2021_17_01 as prepared for MaskFormer, FC-CLIP, …
    DATA/annotations_detectron2/validation/<name>.tif   16 bits, 65535 ignored, classes from 0

DATA may also be a folder that holds the one named here. Which 847 of the full set's 3,688 objects are classes, and in
which order, is in none of its files, only in what prepares it: so `classes` must be given for them.
"""

from pathlib import Path

from evals.datasets.class_names import read_classes, read_object_info
from evals.datasets.label_files import LabelFiles, LabelLayout, find_root
from tools.errors import InputError

CHALLENGE = "ADEChallengeData2016"
_FULL = "ADE20K_2021_17_01"
_150 = (
    LabelLayout(images="images/validation", labels="annotations/validation", first=1, ignored=(0,), whole=True),
    LabelLayout(images="images/validation", labels="annotations_detectron2/validation", whole=True),
)
_847 = (
    LabelLayout(
        images="images_detectron2/validation",
        labels="annotations_detectron2/validation",
        suffix=".tif",
        ignored=(65535,),
        whole=True,
    ),
)


def read_ade20k_150(data: Path, n: int | None = None, *, classes: Path | None = None) -> LabelFiles:
    """Open the challenge's validation pictures; `classes` takes the place of the names in objectInfo150.txt."""
    root = find_root(data, CHALLENGE)
    names = read_object_info(root / "objectInfo150.txt") if classes is None else read_classes(classes, 150)
    return LabelFiles(root, _150, names, n)


def read_ade20k_847(data: Path, n: int | None = None, *, classes: Path | None) -> LabelFiles:
    """Open the full set's validation pictures; InputError without `classes`."""
    if classes is None:
        raise InputError(
            "the names of ADE20K's 847 classes are in no file of the data set.",
            remedy="Give them with --classes FILE, in the order of the labels: CAT-Seg's ade847.json and FC-CLIP's "
            "ade20k_847_with_prompt_eng.txt are read as they are.",
        )
    return LabelFiles(find_root(data, _FULL), _847, read_classes(classes, 847), n)
