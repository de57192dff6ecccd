"""Clips that are not video files: lists of pictures and animated GIF or WEBP."""

from collections.abc import Callable, Sequence

import numpy as np
import PIL.Image
import PIL.ImageSequence

from tools.errors import MediaError, boundary
from tools.image_store import Image
from tools.media.base import SHRINK, Limits
from tools.media.images import from_pillow


class ListFrames:
    """Frames given one by one: pictures in memory are handed out as they are, files are decoded when asked for."""

    def __init__(self, loaders: Sequence[Callable[[], Image]], *, width: int, height: int) -> None:
        self._loaders = list(loaders)
        self._shape = (height, width, 3)
        self._last: tuple[int, Image] | None = None

    def __len__(self) -> int:
        return len(self._loaders)

    def __getitem__(self, index: int, /) -> Image:
        """Return frame `index` (negative counts from the end), RGB uint8; IndexError beyond the clip."""
        position = range(len(self))[index]
        last = self._last
        if last is None or last[0] != position:
            image = self._loaders[position]()
            if image.shape != self._shape:
                raise mixed_sizes(position, image.shape, self._shape)
            # Through a local name: another thread may ask for another frame meanwhile.
            self._last = last = position, image
        return last[1]


def mixed_sizes(index: int, shape: tuple[int, ...], expected: tuple[int, ...]) -> MediaError:
    """Return the error for a clip whose frames differ in size; shapes are (height, width, …)."""
    return MediaError(
        f"frame {index} has {shape[1]}x{shape[0]} pixels, but frame 0 has {expected[1]}x{expected[0]}.",
        remedy="Give frames of one size.",
    )


def decode_animation(picture: PIL.Image.Image, name: str, limits: Limits) -> tuple[list[Image], float]:
    """Decode every frame of an open animated picture, RGB uint8, and its mean frames a second.

    All at once, as these formats only decode forward; so the whole animation must fit in `max_pixels`.
    """
    remedy = "Convert it to MP4, which is streamed."
    with boundary(MediaError, f"cannot read the animation {name}", remedy=remedy):
        count = int(getattr(picture, "n_frames", 1))
    limits.check_count(count, name)
    if count * picture.width * picture.height > limits.max_pixels:
        raise MediaError(
            f"{name} has {count} frames of {picture.width}x{picture.height} pixels, "
            f"together more than the limit of {limits.max_pixels}.",
            remedy=f"{remedy} {SHRINK}",
        )
    frames, milliseconds = [], []
    with boundary(MediaError, f"cannot decode the animation {name}", remedy=remedy):
        for frame in PIL.ImageSequence.Iterator(picture):
            frames.append(from_pillow(frame.copy(), name, limits))
            milliseconds.append(float(frame.info.get("duration", 0)) or 100.0)
    return frames, 1000.0 / float(np.mean(milliseconds))
