"""PASCAL Context (CVPR 2014): validation pictures of VOC 2010 with 59 classes, and with 459.

    DATA/JPEGImages/<name>.jpg                          VOC 2010 as prepared for CAT-Seg, MAFT+ and OpenSeg-R
    DATA/annotations_detectron2/pc59_val/<name>.png     255 ignored, classes from 0
    DATA/annotations_detectron2/pc459_val/<name>.tif    16 bits, 65535 ignored, classes from 0
    DATA/labels.txt                                     names of the 459

    DATA/images/validation/<name>.jpg                   pascal_ctx_d2 as prepared for ODISE and FC-CLIP
    DATA/annotations_ctx59/validation/<name>.png
    DATA/annotations_ctx459/validation/<name>.tif

DATA may also be a folder that holds VOCdevkit/VOC2010 or pascal_ctx_d2. Both preparations number the 59 classes in
the order that they have among the 459, which is that of `NAMES_59`; other ones (SAN, mmsegmentation) begin with the 20
of VOC, and need `classes` in that order.
"""

from pathlib import Path

from evals.datasets.class_names import read_classes, read_context_labels
from evals.datasets.label_files import LabelFiles, LabelLayout, find_root
from graphs.openvocab import Vocabulary
from tools.errors import InputError

NAMES_59 = (
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "potted plant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky",
    "snow", "sofa", "dining table", "track", "train", "tree", "truck", "tv monitor", "wall", "water", "window", "wood",
)  # fmt: skip
_ROOTS = ("VOCdevkit/VOC2010", "VOC2010", "pascal_ctx_d2")
_59 = (
    LabelLayout(images="JPEGImages", labels="annotations_detectron2/pc59_val"),
    LabelLayout(images="images/validation", labels="annotations_ctx59/validation", whole=True),
)
_459 = (
    LabelLayout(images="JPEGImages", labels="annotations_detectron2/pc459_val", suffix=".tif", ignored=(65535,)),
    LabelLayout(
        images="images/validation", labels="annotations_ctx459/validation", suffix=".tif", ignored=(65535,), whole=True
    ),
)


def read_context_59(data: Path, n: int | None = None, *, classes: Path | None = None) -> LabelFiles:
    """Open the pictures with 59 classes; `classes` takes the place of `NAMES_59`."""
    names = Vocabulary.of(NAMES_59) if classes is None else read_classes(classes, 59)
    return LabelFiles(find_root(data, *_ROOTS), _59, names, n)


def read_context_459(data: Path, n: int | None = None, *, classes: Path | None = None) -> LabelFiles:
    """Open the pictures with 459 classes; `classes` takes the place of labels.txt."""
    root = find_root(data, *_ROOTS)
    if classes is None and not (root / "labels.txt").is_file():
        raise InputError(
            f"{root / 'labels.txt'} is missing, which names the 459 classes.",
            remedy="It is part of PASCAL Context's trainval.tar.gz; or name them with --classes FILE.",
        )
    names = read_context_labels(root / "labels.txt") if classes is None else read_classes(classes, 459)
    return LabelFiles(root, _459, names, n)
