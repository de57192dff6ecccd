"""Video files through PyAV: any frame on demand, without ever holding the clip.

The file is demuxed once for its timestamps (no decoding). A frame is reached by seeking to the key frame before it
and decoding on; what is decoded on the way is kept in a bounded cache, so that walking backward through a group of
pictures does not decode it again for every frame.
"""

import math
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import av
import numpy as np

from tools.errors import MediaError, boundary
from tools.image_store import Image
from tools.media.base import Limits

CONTAINERS = "MP4, MOV, MKV, WEBM, AVI, MPEG, FLV, OGG or WMV"
_DEMUXERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,h264,hevc"
_REPAIR = "Copy it again, or repair it with `ffmpeg -i IN -c:v libx264 OUT.mp4`."


class VideoFrames:
    """Random access to the frames of a video file, upright, RGB uint8 (height, width, 3); safe across threads."""

    def __init__(self, path: Path, limits: Limits, *, kinds: str = CONTAINERS) -> None:
        self._name = path.name
        with boundary(
            MediaError, f"{path.name} is neither picture nor video that can be read", remedy=f"Give {kinds}."
        ):
            # Playlists and other indirect formats could make FFmpeg open further files or addresses.
            options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
            self._container = av.open(str(path), options=options)
        self._closed = False
        with ExitStack() as undo:
            undo.callback(self._container.close)  # a file that is refused is not left open
            self._stream = _picture_stream(self._container, path.name)
            limits.check_frame(self._stream.codec_context.width, self._stream.codec_context.height, path.name)
            self._stream.thread_type = "AUTO"
            with boundary(MediaError, f"cannot read the timestamps of {path.name}", remedy=_REPAIR):
                self._times, self._keys, self._start = _index(self._container, self._stream)
            self._check_complete(limits)
            self._lock = Lock()
            self._decoder: Iterator[av.VideoFrame] | None = None
            self._position = -1
            self._cache: OrderedDict[int, av.VideoFrame] = OrderedDict()
            self._capacity = 2
            with boundary(MediaError, f"cannot decode {path.name}", remedy=_REPAIR):
                first = self._decoded(0)
            self._size = first.width, first.height
            self._quarter_turns = round(first.rotation / 90) % 4
            self._capacity = max(2, limits.cache_bytes // max(1, first.width * first.height * 3 // 2))
            self.width, self.height = self._size[:: -1 if self._quarter_turns % 2 else 1]
            self.fps = self._mean_fps()
            undo.pop_all()

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, index: int, /) -> Image:
        """Return frame `index` (negative counts from the end); IndexError beyond the clip.

        Raises MediaError if the file is damaged there.
        """
        position = range(len(self))[index]
        with self._lock, boundary(MediaError, f"cannot decode frame {position} of {self._name}", remedy=_REPAIR):
            if self._closed:
                raise MediaError(f"{self._name} is closed.", remedy="Open it again.")
            frame = self._decoded(position)
            # Size given: a stream may change its resolution on the way.
            rgb = frame.to_ndarray(format="rgb24", width=self._size[0], height=self._size[1])
            return np.ascontiguousarray(np.rot90(rgb, self._quarter_turns), dtype=np.uint8)

    def close(self) -> None:
        """Close the file; the frames cannot be read after that."""
        with self._lock:
            self._closed = True
            self._decoder = None
            self._cache.clear()
            self._container.close()

    def _check_complete(self, limits: Limits) -> None:
        found, promised = len(self._times), self._stream.frames
        limits.check_count(max(found, promised), self._name)
        # A header that promises far more than there is: a download that was cut off.
        if found == 0 or found < promised * 0.98 - 2:
            raise MediaError(f"{self._name} is cut off: {found} of {promised} frames are there.", remedy=_REPAIR)

    def _mean_fps(self) -> float:
        rate = self._stream.average_rate or self._stream.guessed_rate
        span = (self._times[-1] - self._times[0]) * float(self._stream.time_base or 0)
        return (len(self) - 1) / span if span > 0 else float(rate or 0)

    def _decoded(self, position: int) -> av.VideoFrame:
        """Return the decoded frame at `position`, from the cache or by decoding toward it."""
        if position not in self._cache:
            start = self._key_before(position)
            if self._decoder is None or not start <= self._position + 1 <= position:
                self._seek(position)
            self._decode_to(position)
        if position not in self._cache:
            raise MediaError(f"frame {position} of {self._name} is missing or damaged.", remedy=_REPAIR)
        self._cache.move_to_end(position)
        return self._cache[position]

    def _key_before(self, position: int) -> int:
        """Return the last key frame at or before `position`; decoding toward it may start there."""
        return self._keys[max(0, bisect_right(self._keys, position) - 1)]

    def _seek(self, position: int) -> None:
        """Point the decoder at or before `position`; goes back further where a container seeks too late."""
        key = self._key_before(position)
        while True:
            # To the very start by decoding time: MPEG-TS seeks past a first picture that is shown later than decoded.
            self._container.seek(self._times[key] if key else self._start, stream=self._stream, backward=True)
            self._decoder = self._frames()
            self._position = key - 1
            first = next(self._decoder, None)
            landed = self._place(first) if first is not None else len(self)
            if landed <= position or key == 0:
                break
            key = self._key_before(key - 1)
        if first is not None:
            self._keep(landed, first)

    def _decode_to(self, position: int) -> None:
        while self._decoder is not None and self._position < position:
            frame = next(self._decoder, None)
            if frame is None:
                self._decoder = None
                return
            self._keep(self._place(frame), frame)

    def _frames(self) -> Iterator[av.VideoFrame]:
        """Decode from the current place, skipping what the index does not know."""
        for frame in self._container.decode(self._stream):
            if frame.pts is not None and self._place(frame) >= 0 and not frame.is_corrupt:
                yield frame

    def _place(self, frame: av.VideoFrame) -> int:
        """Return the index of a decoded frame, -1 if its timestamp is not in the index."""
        pts = frame.pts if frame.pts is not None else math.inf
        place = bisect_right(self._times, pts) - 1
        return place if place >= 0 and self._times[place] == pts else -1

    def _keep(self, position: int, frame: av.VideoFrame) -> None:
        self._position = position
        self._cache[position] = frame
        self._cache.move_to_end(position)
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)


def _picture_stream(container: av.container.InputContainer, name: str) -> av.VideoStream:
    """Return the first stream of moving pictures; a song's cover does not count."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    raise MediaError(f"{name} has no video stream.", remedy="Give a file with pictures in it.")


def _index(container: av.container.InputContainer, stream: av.VideoStream) -> tuple[list[int], list[int], int]:
    """Return the frames' timestamps in display order, the indices of key frames, and the first decoding time.

    By demuxing alone, except for containers without display timestamps (AVI): those take one decoding pass, which
    keeps no pixels. Times are in units of the stream's time base.
    """
    times: dict[int, bool] = {}
    start: int | None = None
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.pts is None:
            container.seek(0, stream=stream)
            times = {frame.pts: bool(frame.key_frame) for frame in container.decode(stream) if frame.pts is not None}
            break
        first = packet.pts if packet.dts is None else min(packet.pts, packet.dts)
        start = first if start is None else min(start, first)
        if not packet.is_discard:
            times[packet.pts] = times.get(packet.pts, False) or bool(packet.is_keyframe)
    ordered = sorted(times)
    keys = [place for place, time in enumerate(ordered) if times[time] or place == 0]
    return ordered, keys, min([start or 0, *ordered[:1]])
