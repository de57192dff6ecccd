"""The masks of one episode: kept as COCO run lengths, so a long clip costs kilobytes instead of gigabytes."""

from collections.abc import Iterator, Sequence

import numpy as np
from pycocotools import mask as coco
from typing_extensions import TypedDict

from graphs.state import PlainMask
from tools.segmenters.base import Mask


class RLE(TypedDict):
    """COCO's compressed run-length encoding; `size` is [height, width]."""

    size: list[int]
    counts: str


def encode_rle(mask: Mask) -> RLE:
    """Encode a boolean mask (height, width)."""
    found = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode("ascii")}


def decode_rle(rle: RLE) -> Mask:
    """Decode to a boolean mask (height, width)."""
    mask: Mask = coco.decode({"size": rle["size"], "counts": rle["counts"].encode("ascii")}).astype(np.bool_)
    return mask


class MaskStore:
    """Masks by target and frame."""

    def __init__(self) -> None:
        self._rles: dict[tuple[int, int], RLE] = {}

    def put(self, frame: int, masks: Sequence[Mask]) -> None:
        """Keep one boolean mask (height, width) per target of frame `frame`."""
        for target, mask in enumerate(masks):
            self._rles[target, frame] = encode_rle(mask)

    def get(self, target: int, frame: int) -> Mask | None:
        """Return the mask of a target in a frame, boolean (height, width), or None if none was cut."""
        rle = self._rles.get((target, frame))
        return None if rle is None else decode_rle(rle)

    def rle(self, target: int, frame: int) -> RLE | None:
        """Return the encoded mask, or None if none was cut."""
        return self._rles.get((target, frame))

    def to_plain(self) -> list[PlainMask]:
        """Return all masks as a checkpoint holds them."""
        return [
            {"target": target, "frame": frame, "size": rle["size"], "counts": rle["counts"]}
            for (target, frame), rle in self._rles.items()
        ]

    def restore(self, plain: Sequence[PlainMask]) -> None:
        """Put masks back that `to_plain` returned."""
        for mask in plain:
            self._rles[mask["target"], mask["frame"]] = {"size": mask["size"], "counts": mask["counts"]}

    def frames(self) -> list[int]:
        """Return the frames that have masks, in order."""
        return sorted({frame for _, frame in self._rles})

    def union(self, frame: int) -> Mask | None:
        """Return all targets of a frame in one mask, boolean (height, width), or None if none was cut."""
        rles = [rle for (_, f), rle in self._rles.items() if f == frame]
        if not rles:
            return None
        mask: Mask = np.logical_or.reduce([decode_rle(rle) for rle in rles])
        return mask

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over (target, frame)."""
        return iter(self._rles)

    def __len__(self) -> int:
        return len(self._rles)
