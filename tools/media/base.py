"""What media are once they are open: frames on demand with a name, a size and a fingerprint."""

from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from tools.errors import MediaError
from tools.segmenters.base import Frames

RAISE = "or raise the limit in Python: open_media(source, limits=Limits(...))."
SHRINK = f"Shrink it first, {RAISE}"


@dataclass(frozen=True)
class Limits:
    """How large media may be; checked from headers, before anything is decoded."""

    max_pixels: int = 100_000_000
    """Pixels of one frame, width times height."""

    max_frames: int = 108_000
    """Frames of a clip: one hour at 30 frames a second."""

    max_bytes: int = 4 * 1024**3
    """Bytes of one file."""

    cache_bytes: int = 96 * 1024**2
    """Bytes of decoded video frames kept for going back and forth; at least two frames are kept.

    Counted as 1.5 bytes a pixel; decoders pad their frames, so the process grows by about twice this.
    """

    def check_frame(self, width: int, height: int, name: str) -> None:
        """Raise MediaError if a frame of this size in pixels is empty or too large."""
        if width < 1 or height < 1:
            raise MediaError(f"{name} is empty ({width}x{height} pixels).", remedy="Give a picture with pixels in it.")
        if width * height > self.max_pixels:
            raise MediaError(
                f"{name} has {width}x{height} pixels, more than the limit of {self.max_pixels}.", remedy=SHRINK
            )

    def check_count(self, count: int, name: str) -> None:
        """Raise MediaError if a clip of `count` frames is empty or too long."""
        if count < 1:
            raise MediaError(f"{name} has no frames.", remedy="Give at least one frame.")
        if count > self.max_frames:
            raise MediaError(
                f"{name} has {count} frames, more than the limit of {self.max_frames}.",
                remedy=f"Cut it into shorter clips, {RAISE}",
            )

    def check_bytes(self, size: int, name: str) -> None:
        """Raise MediaError if a file of `size` bytes is empty or too large."""
        if size == 0:
            raise MediaError(f"{name} is an empty file.", remedy="Copy or download it again.")
        if size > self.max_bytes:
            raise MediaError(f"{name} has {size} bytes, more than the limit of {self.max_bytes}.", remedy=SHRINK)


@dataclass(frozen=True)
class Media:
    """An open picture (one frame) or clip; closed by `close`, or by leaving a `with`."""

    kind: Literal["image", "video"]
    frames: Frames
    """RGB uint8 (height, width, 3), decoded on demand; memory stays bounded whatever the length."""

    width: int
    """Pixels, after rotation metadata is applied."""

    height: int
    """Pixels, after rotation metadata is applied."""

    fps: float
    """Frames a second, averaged over the clip; 0 for a picture."""

    name: str
    """File name, or what the source was ("image", "frames")."""

    sha256: str
    """Fingerprint: of the file's bytes, or of shapes and pixels for things in memory."""

    def close(self) -> None:
        """Close the file behind the frames, if there is one; they cannot be read after that."""
        close = getattr(self.frames, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
