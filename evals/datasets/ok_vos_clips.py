"""One object in one video of OK-VOS: frames and masks by their place in the clip, read from disk when looked at."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from evals.datasets.places import below
from tools.errors import InputError, MediaError, boundary
from tools.media import Limits
from tools.media.frames import ListFrames
from tools.media.images import decode_file, open_header, upright_size
from tools.segmenters.base import Frames, Mask

LAYOUT = (
    "Download iSEE-Laboratory/OK_VOS: DATA/<split>.parquet, DATA/<split>/JPEGImages/<video>/<stem>.jpg and "
    "DATA/<split>/Annotations/<video>/<oid>/<stem>.png."
)
TARGET = 255
"""The mask value of the target: no other counts."""


@dataclass(frozen=True)
class ObjectClip:
    """Frames `stems` of a video below a split's folder, and the masks of object `oid`."""

    folder: Path
    video: str
    oid: str
    stems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.stems)

    def only(self, places: list[int]) -> "ObjectClip":
        """Return the clip of just these frames, in this order."""
        return replace(self, stems=tuple(self.stems[place] for place in places))

    def frames(self) -> Frames:
        """Return the frames, RGB uint8, decoded on demand.

        InputError names a missing one, and one whose name leads out of the folder; MediaError a broken one.
        """
        paths = [self._frame(stem) for stem in self.stems]
        for path in paths:
            if not path.is_file():
                raise _missing(path)
        if not paths:
            raise MediaError(f"the video {self.video} has no frames.", remedy="Leave it out of the parquet.")
        width, height = _size(paths[0])
        return ListFrames([partial(decode_file, path, Limits()) for path in paths], width=width, height=height)

    def mask(self, place: int) -> Mask:
        """Return the target's mask, boolean (height, width); a frame without a mask file does not show it.

        MediaError for a file that cannot be read or is not of the frame's size; InputError if the object has no folder,
        and for a name that leads out of the split's.
        """
        folder, stem = below(self.folder, "Annotations", self.video, self.oid), self.stems[place]
        frame, path = self._frame(stem), below(folder, f"{stem}.png")
        for needed in (folder, frame):
            if not needed.exists():
                raise _missing(needed)
        width, height = _size(frame)
        if not path.is_file():
            return np.zeros((height, width), np.bool_)
        with boundary(MediaError, f"the mask {path} cannot be read", remedy="Unpack the data set again."):
            picture = open_header(path, Limits())
            if picture is None:
                raise MediaError(f"the mask {path} is no picture.", remedy="Unpack the data set again.")
            with picture:
                # A palette's colours do not count, its indices do.
                values = np.asarray(picture if picture.mode in ("P", "L") else picture.convert("L"))
        if values.shape != (height, width):
            raise MediaError(
                f"the mask {path} has {values.shape[1]}x{values.shape[0]} pixels, its frame {width}x{height}.",
                remedy="Unpack the data set again.",
            )
        return np.asarray(values == TARGET, np.bool_)

    def masks(self, place: int) -> tuple[Mask, ...]:
        """Return the target's mask in a tuple; empty where it cannot be seen."""
        mask = self.mask(place)
        return (mask,) if mask.any() else ()

    def _frame(self, stem: str) -> Path:
        return below(self.folder, "JPEGImages", self.video, f"{stem}.jpg")


def _size(path: Path) -> tuple[int, int]:
    picture = open_header(path, Limits())
    if picture is None:
        raise MediaError(f"the frame {path} is no picture.", remedy="Unpack the data set again.")
    with picture:
        return upright_size(picture)


def _missing(path: Path) -> InputError:
    return InputError(f"{path} is missing.", remedy=LAYOUT)
