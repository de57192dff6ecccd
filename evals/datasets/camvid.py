"""CamVid (Brostow et al., 2008) in SegNet's packaging: street photographs, 480 by 360, with 11 classes.

    DATA/images/<name>.jpg
    DATA/labels/<name>.png    classes from 0, 11 unlabelled

For measuring only: nothing that ships is trained on CamVid.
"""

from pathlib import Path

from evals.datasets.class_names import read_classes
from evals.datasets.label_files import LabelFiles, LabelLayout
from graphs.openvocab import Vocabulary

VOCABULARY = Vocabulary.of(
    ["sky", "building", "pole, column pole", "road", "pavement, sidewalk", "tree", "sign, traffic sign, sign symbol",
     "fence", "car", "pedestrian, person", "bicyclist, cyclist"],
    stuff=["sky", "building", "road", "pavement", "tree", "fence"],
)  # fmt: skip
_LAYOUTS = (LabelLayout(images="images", labels="labels", ignored=(11,), whole=True),)


def read_camvid(data: Path, n: int | None = None, *, classes: Path | None = None) -> LabelFiles:
    """Open the pictures; `classes` takes the place of the names in `VOCABULARY`."""
    return LabelFiles(data, _LAYOUTS, VOCABULARY if classes is None else read_classes(classes, len(VOCABULARY)), n)
