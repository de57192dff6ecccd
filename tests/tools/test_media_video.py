"""Video files: any frame in any order equals a plain decode, memory is bounded, broken files say so."""

import shutil
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from shared_data import SHARED, needs_shared

from tools.errors import MediaError
from tools.media import Limits, open_media
from tools.media.video import VideoFrames

SHARED_CLIP = SHARED / "data/media/bedroom.mp4"
WIDTH, HEIGHT = 64, 48


def numbered(index: int) -> np.ndarray:
    """A picture that carries its index as eight vertical bars, and a white corner that shows which way is up."""
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for bit in range(8):
        image[16:, bit * 8 : bit * 8 + 8] = 200 if index >> bit & 1 else 40
    image[:16, :16] = 255
    return image


def read_number(image: np.ndarray) -> int:
    return sum((image[20:44, bit * 8 + 2 : bit * 8 + 6].mean() > 120) << bit for bit in range(8))


def write_video(path: Path, count: int, *, codec="libx264", gop=12, times=None, bframes=2) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        if codec == "libx264":
            stream.options = {"crf": "18", "preset": "ultrafast", "bf": str(bframes), "sc_threshold": "0"}
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
            frame.pts = times[index] if times else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def plain_decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", 60)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mkv", "libx264"),
        ("avi", "mpeg4"),
        ("webm", "libvpx"),
        ("ts", "libx264"),
        ("mpg", "mpeg2video"),
    ],
)
def test_every_container_gives_the_frames_of_a_plain_decode(tmp_path, suffix, codec):
    path = write_video(tmp_path / f"clip.{suffix}", 40, codec=codec)
    expected = plain_decode(path)
    media = open_media(path)
    assert (media.kind, media.width, media.height, len(media.frames)) == ("video", WIDTH, HEIGHT, len(expected))
    assert media.fps == pytest.approx(25, rel=0.05)
    order = [*range(len(expected)), *reversed(range(len(expected))), 31, 3, 30, 0, len(expected) - 1]
    for index in order:
        assert np.array_equal(media.frames[index], expected[index]), index


@pytest.mark.parametrize("cache_frames", [2, 5, 100])
def test_any_order_is_right_with_any_cache(clip, cache_frames):
    frames = VideoFrames(clip, Limits(cache_bytes=cache_frames * WIDTH * HEIGHT * 3 // 2))
    rng = np.random.default_rng(0)
    for index in rng.integers(0, 60, 80).tolist():
        assert read_number(frames[index]) == index


def test_walking_forward_and_backward_decodes_little_and_holds_little(clip, monkeypatch):
    frames = VideoFrames(clip, Limits(cache_bytes=15 * WIDTH * HEIGHT * 3 // 2))
    decoded = 0
    place = VideoFrames._place

    def counted(self, frame):
        nonlocal decoded
        decoded += 1
        return place(self, frame)

    monkeypatch.setattr(VideoFrames, "_place", counted)
    for index in range(60):
        frames[index]
        assert len(frames._cache) <= 15
    assert decoded <= 2 * 60
    decoded = 0
    for index in reversed(range(60)):
        assert read_number(frames[index]) == index
        assert len(frames._cache) <= 15
    assert decoded <= 4 * 60


def test_variable_frame_rate_keeps_every_frame(tmp_path):
    times = np.cumsum(np.random.default_rng(1).integers(1, 30, 30)).tolist()
    path = write_video(tmp_path / "vfr.mkv", 30, times=times, bframes=0)
    media = open_media(path)
    assert [read_number(media.frames[i]) for i in range(30)] == list(range(30))
    assert media.fps == pytest.approx(25 * 29 / (times[-1] - times[0]), rel=0.05)


def test_negative_index_and_end(clip):
    media = open_media(clip)
    assert read_number(media.frames[-1]) == 59
    with pytest.raises(IndexError):
        media.frames[60]


def turned(path: Path, degrees: int) -> None:
    """Write a rotation into the track header of an MP4, as a telephone does."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16
    one = 1 << 16
    rows = {90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[degrees]
    a, b, c, d = rows
    data[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(("degrees", "corner"), [(90, "right"), (180, "bottom right"), (270, "bottom left")])
def test_rotation_metadata_is_applied(tmp_path, degrees, corner):
    # The matrix of a telephone held upright turns the stored picture clockwise by so many degrees.
    path = write_video(tmp_path / "turned.mp4", 3)
    turned(path, degrees)
    media = open_media(path)
    image = media.frames[0]
    assert (media.width, media.height) == ((WIDTH, HEIGHT) if degrees == 180 else (HEIGHT, WIDTH))
    assert image.shape == (media.height, media.width, 3)
    bright = {
        "right": image[:12, -12:],
        "bottom right": image[-12:, -12:],
        "bottom left": image[-12:, :12],
    }[corner]
    assert bright.min() > 180


def test_truncated_video_is_a_media_error(tmp_path):
    path = write_video(tmp_path / "whole.mp4", 60)
    data = path.read_bytes()
    for keep in (0.9, 0.5, 0.05):
        cut = tmp_path / "cut.mp4"
        cut.write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(MediaError, match=r"Give|Copy"):
            open_media(cut)


def test_video_cut_off_behind_its_header_is_a_media_error(tmp_path):
    path = tmp_path / "fast.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"cut off|damaged|cannot"):
        open_media(path)


def test_damage_in_the_middle_is_a_media_error_or_a_picture_never_a_crash(clip, tmp_path):
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 8
    stop = data.index(b"moov")
    for place in np.random.default_rng(0).integers(start, stop, 200).tolist():
        data[place] ^= 0xFF
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    outcomes = {outcome(path, index) for index in range(60)}
    assert outcomes <= {"picture", "error"}


def outcome(path: Path, index: int) -> str:
    try:
        image = open_media(path).frames[index]
    except MediaError as error:
        return "error" if "ffmpeg" in error.remedy else "no remedy"
    return "picture" if image.shape == (HEIGHT, WIDTH, 3) else "wrong shape"


def test_sound_without_pictures_is_a_media_error(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(MediaError, match="no video stream"):
        open_media(path)


def open_files(path: Path) -> list[str]:
    links = Path("/proc/self/fd").iterdir()
    return [str(link) for link in links if link.exists() and link.resolve() == path.resolve()]


@pytest.fixture
def own_clip(clip, tmp_path) -> Path:
    """A file of the test's own: other tests' readers of the shared clip are closed only when they are collected."""
    return Path(shutil.copy(clip, tmp_path))


def test_closed_media_let_go_of_their_file_and_say_so(own_clip):
    clip = own_clip
    with open_media(clip) as media:
        media.frames[3]
        assert len(open_files(clip)) == 1
    assert open_files(clip) == []
    with pytest.raises(MediaError, match="is closed"):
        media.frames[3]
    media.close()  # twice does no harm


def test_a_file_that_is_refused_is_not_left_open(own_clip):
    clip = own_clip
    with pytest.raises(MediaError) as error:
        open_media(clip, limits=Limits(max_frames=59))
    assert error.value.__traceback__ is not None  # which holds on to the half-made frames
    assert open_files(clip) == []


def test_playlists_are_refused(tmp_path, clip):
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
    (tmp_path / "list.txt").write_text(f"ffconcat version 1.0\nfile {clip}\n")
    for name in ("list.m3u8", "list.txt"):
        with pytest.raises(MediaError):
            open_media(tmp_path / name)


def test_limits_are_checked(clip):
    with pytest.raises(MediaError, match="pixels"):
        open_media(clip, limits=Limits(max_pixels=100))
    with pytest.raises(MediaError, match="frames"):
        open_media(clip, limits=Limits(max_frames=59))
    with pytest.raises(MediaError, match="bytes"):
        open_media(clip, limits=Limits(max_bytes=10))


@needs_shared("data/media")
def test_real_clip_with_one_key_frame():
    media = open_media(SHARED_CLIP)
    assert (len(media.frames), media.width, media.height) == (200, 960, 540)
    assert media.fps == pytest.approx(30)
    late = media.frames[30].copy()
    media.frames[5]
    assert np.array_equal(media.frames[30], late)
