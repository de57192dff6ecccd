"""Write a clip as MP4, frame by frame: H.264 where PyAV has it, else MPEG-4."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tools.errors import MediaError, boundary
from tools.image_store import Image

_CODECS = (("libx264", {"crf": "18", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))


def video_codec() -> str | None:
    """Return the encoder that is used here, None if PyAV has none that is known."""
    return next((name for name, _ in _CODECS if name in av.codecs_available), None)


def write_video(frames: Iterable[Image], path: Path, *, fps: float) -> None:
    """Encode RGB frames, uint8 (height, width, 3), all of one size; `fps` is frames a second.

    An odd side grows by one pixel, a copy of its edge, because chroma is stored at half size. Raises MediaError.
    """
    codec = video_codec()
    if codec is None:
        raise MediaError("this PyAV can encode neither H.264 nor MPEG-4.", remedy="Install it anew: pip install av.")
    with (
        boundary(MediaError, f"cannot write {path.name}", remedy="Check the room on the disk."),
        av.open(str(path), "w", options={"movflags": "+faststart"}) as container,
    ):
        # A rate of small terms, which 23.976, 29.97 and 59.94 also are: n / 1001.
        stream = container.add_stream(codec, rate=Fraction(fps or 24.0).limit_denominator(1001))
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.options = dict(dict(_CODECS)[codec])
        for frame in frames:
            height, width = frame.shape[:2]
            even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
