"""Benchmarks as Seg-Zero and VisionReasoner published them: Ricky06662 on the hub, parquet with the masks in it.

ReasonSeg_val, ReasonSeg_test, refcoco_val, refcocoplus_testA, refcocog_test and others, with "_all" at the end every
expression of an object, else one. Columns: image, text, mask (a list of rows of booleans), image_id, ann_id,
img_height, img_width; the split's name is "test" in all of them. Their converter drew what is to be ignored and then
cast to boolean, so in ReasonSeg the ignored regions may be part of these masks and nothing tells which: take the
official layout (`reason_seg`) where that matters.
"""

from pathlib import Path
from typing import Any

import numpy as np

from evals.datasets.base import Sample, at_most, on_picture
from evals.datasets.parquet import ParquetRows, decode_picture, find_parquet
from tools.errors import InputError
from tools.segmenters.base import Mask

LAYOUT = (
    "Download a set of Ricky06662 (ReasonSeg_val, refcoco_testA, …), so that DATA/data/test-*.parquet has columns "
    "image, text, mask, image_id, img_height and img_width."
)
_PLAIN = ("image", "text", "image_id", "img_height", "img_width")


class SegZeroSet:
    """Read one of these sets; InputError names a missing file, MediaError a broken picture.

    A group of rows is held in memory, about 100 MB as published.
    """

    def __init__(self, name: str, data: Path, n: int | None = None) -> None:
        self.name = name
        self._rows = ParquetRows(find_parquet(data, "test", LAYOUT), (*_PLAIN, "mask"), LAYOUT)
        self._count = at_most(len(self._rows), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        index = range(len(self))[index]
        cells = self._rows.cells(index, (*_PLAIN, "mask"))
        row = {column: cells[column].as_py() for column in _PLAIN}
        name = f"{row['image_id']}-{index}"
        mask = nested_mask(cells["mask"], int(row["img_height"]), int(row["img_width"]), name)
        media = decode_picture(row["image"], f"picture {name}")
        if media[0].shape[:2] != mask.shape:
            raise InputError(
                f"the mask of {name} has shape {mask.shape}, its picture {media[0].shape[:2]}.", remedy=LAYOUT
            )
        return Sample(name, str(row["text"]).strip(), media, on_picture(mask))


def nested_mask(cell: Any, height: int, width: int, name: str) -> Mask:
    """Turn a cell of rows of booleans into a mask (height, width); InputError, with `name`, if it is of another size.

    Goes through arrow's own buffers: as Python lists a mask of 20 million pixels would take a second and a gigabyte.
    """
    rows = cell.values
    flat = () if rows is None else rows.flatten().to_numpy(zero_copy_only=False)
    if rows is None or len(rows) != height or len(flat) != height * width:
        raise InputError(f"the mask of {name} is not {width}x{height}.", remedy=LAYOUT)
    return np.asarray(flat, np.bool_).reshape(height, width)
