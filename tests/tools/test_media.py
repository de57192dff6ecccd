"""Pictures and lists: everything people hold becomes RGB uint8, everything else one clear error."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import SHARED, needs_shared

from tools.closer_look import look_closer
from tools.errors import InputError, MediaError
from tools.media import Limits, open_media, resize_square, sample_frames

MEDIA = SHARED / "data/media"


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def test_array_and_pillow_and_png_give_the_same_pixels(picture, tmp_path):
    PIL.Image.fromarray(picture).save(tmp_path / "a.png")
    for source in (picture, PIL.Image.fromarray(picture), tmp_path / "a.png", str(tmp_path / "a.png")):
        media = open_media(source)
        assert (media.kind, media.width, media.height, len(media.frames)) == ("image", 30, 20, 1)
        assert np.array_equal(media.frames[0], picture)
        assert media.fps == 0
        with pytest.raises(IndexError):
            media.frames[1]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif", "bmp"])
def test_every_allowed_format_opens(picture, tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    PIL.Image.fromarray(picture).save(path)
    media = open_media(path)
    assert media.kind == "image"
    assert media.frames[0].shape == (20, 30, 3)
    assert media.frames[0].dtype == np.uint8


@pytest.mark.parametrize("suffix", ["tiff", "ppm", "ico"])
def test_other_formats_are_refused(picture, tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    PIL.Image.fromarray(picture).save(path)
    with pytest.raises(MediaError, match="Give JPEG"):
        open_media(path)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16", "YCbCr", "HSV"])
def test_every_mode_becomes_rgb(mode):
    media = open_media(PIL.Image.new(mode, (7, 5)))
    assert media.frames[0].shape == (5, 7, 3)


def test_sixteen_bit_grey_keeps_its_range():
    levels = np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16)
    buffer = io.BytesIO()
    PIL.Image.fromarray(levels).save(buffer, "PNG")
    image = open_media(PIL.Image.open(buffer)).frames[0]
    assert image[0, :, 0].tolist() == pytest.approx([0, 127, 255], abs=1)


def test_transparency_lies_over_white():
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0] = (255, 0, 0, 255)
    for source in (rgba, PIL.Image.fromarray(rgba)):
        image = open_media(source).frames[0]
        assert image[0, 0].tolist() == [255, 0, 0]
        assert image[1, 1].tolist() == [255, 255, 255]


def test_grey_array_repeats_its_channel():
    image = open_media(np.full((4, 5), 9, dtype=np.uint8)).frames[0]
    assert image.shape == (4, 5, 3)
    assert (image == 9).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = np.zeros((16, 24, 3), dtype=np.uint8)
    upright[:8, :8] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    path = tmp_path / "turned.png"
    PIL.Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert np.array_equal(open_media(path).frames[0], upright)
    clip = open_media([path, path])
    assert (clip.width, clip.height) == (24, 16)
    assert np.array_equal(clip.frames[1], upright)


def bomb(path: Path, width: int, height: int) -> Path:
    """Write a PNG whose header promises width x height pixels and that has none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_decompression_bomb_is_refused_before_decoding(tmp_path, side):
    with pytest.raises(MediaError, match="pixels"):
        open_media(bomb(tmp_path / "bomb.png", side, side))


def test_truncated_picture_is_a_media_error(picture, tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(picture).save(path)
    data = path.read_bytes()
    for keep in (len(data) // 2, 40, 20):
        path.write_bytes(data[:keep])
        with pytest.raises(MediaError):
            open_media(path)


def test_things_that_are_no_media(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    wrong = [
        tmp_path / "missing.png", tmp_path, tmp_path / "notes.txt", tmp_path / "empty.png", "https://example.org/a.png",
        "a\0b", [], np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 4, 3), np.uint8), [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)],
        [tmp_path / "notes.txt"], "",
    ]  # fmt: skip
    for source in wrong:
        with pytest.raises(MediaError) as caught:
            open_media(source)
        assert caught.value.message
        assert caught.value.remedy
    for source in (None, 7, [7], {"a": 1}):
        with pytest.raises(InputError):
            open_media(source)


def test_lists_and_stacks_are_clips(picture, tmp_path):
    PIL.Image.fromarray(picture).save(tmp_path / "a.png")
    stack = np.stack([picture, picture[::-1], picture[:, ::-1]])
    for source in (
        stack,
        list(stack),
        [PIL.Image.fromarray(p) for p in stack],
        (picture, stack[1], tmp_path / "a.png"),
    ):
        media = open_media(source, fps=12)
        assert (media.kind, len(media.frames), media.fps) == ("video", 3, 12)
        assert np.array_equal(media.frames[1], picture[::-1])
    assert open_media(stack).sha256 == open_media(list(stack)).sha256 != open_media(stack[::-1]).sha256


def test_animation_is_a_clip(tmp_path):
    shades = [PIL.Image.new("RGB", (8, 6), (shade, 0, 0)) for shade in (0, 100, 200)]
    for suffix in ("gif", "webp"):
        path = tmp_path / f"a.{suffix}"
        shades[0].save(path, save_all=True, append_images=shades[1:], duration=100, loop=0)
        media = open_media(path)
        assert (media.kind, len(media.frames), round(media.fps)) == ("video", 3, 10)
        assert [int(media.frames[i][3, 3, 0]) for i in range(3)] == pytest.approx([0, 100, 200], abs=8)
        with pytest.raises(MediaError, match="MP4"):
            open_media(path, limits=Limits(max_pixels=8 * 6 * 2))


def test_media_without_a_file_can_be_closed_too(picture):
    with open_media(picture) as media:
        pass
    assert media.frames[0] is not None


def test_same_content_same_fingerprint(picture):
    assert open_media(picture).sha256 == open_media(picture.copy()).sha256
    assert open_media(picture).sha256 != open_media(picture.reshape(30, 20, 3)).sha256


@needs_shared("data/media")
@pytest.mark.parametrize("name", ["cars.jpg", "food.webp", "segzero_test_image.png"])
def test_real_pictures_open(name):
    media = open_media(MEDIA / name)
    assert media.frames[0].shape == (media.height, media.width, 3)
    assert media.frames[0].std() > 10


@given(st.integers(0, 500), st.integers(0, 64))
def test_sampled_frames_are_even_sorted_and_span_the_clip(count, wanted):
    chosen = sample_frames(count, wanted)
    assert len(chosen) == min(count, wanted)
    assert chosen == sorted(set(chosen))
    if len(chosen) >= 2:
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        gaps = np.diff(chosen)
        assert gaps.max() - gaps.min() <= 1 or gaps.max() <= gaps.min() + 2


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 64))
def test_resize_square_keeps_flat_colours_and_never_invents_values(height, width, side):
    image = np.random.default_rng(height * 61 + width).integers(50, 200, (height, width, 3), dtype=np.uint8)
    resized = resize_square(image, side)
    assert resized.shape == (side, side, 3)
    assert resized.min() >= image.min()
    assert resized.max() <= image.max()
    assert (resize_square(np.full_like(image, 77), side) == 77).all()


def test_resize_square_halves_by_averaging():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    means = image.reshape(4, 2, 4, 2, 3).mean((1, 3))
    assert np.abs(resize_square(image, 4) - means).max() <= 0.5
    assert np.array_equal(resize_square(image, 16), cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR))


def test_closer_look_names_the_frames_that_exist(picture):
    frames = open_media([picture] * 3).frames
    assert look_closer(frames, 2, 10).shape == (10, 10, 3)
    for index in (-1, 3, True):
        with pytest.raises(InputError, match="frames 0 to 2"):
            look_closer(frames, index, 10)
    with pytest.raises(InputError, match="only frame 0"):
        look_closer(open_media(picture).frames, 1, 10)
