"""Pictures from the web: judged by their bytes, bounded before they are decoded, named by nothing but their hash."""

import asyncio
import hashlib
import io
import struct
import zlib

import PIL.Image
import pytest
from web_stubs import fetcher_of, picture_bytes, reply, serving

from tools.errors import FetchError, MediaError
from tools.media import Limits
from tools.media.images import decode_file
from tools.web.pictures import PictureFetcher, write_whole

SITE = "http://site.example.com"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def png_header(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


async def fetch(answer: bytes, folder, **options):
    async with serving({"/p": answer}) as site:
        return await PictureFetcher(fetcher_of(site)[0], folder, **options).fetch(SITE + "/p")


@pytest.mark.parametrize(
    ("form", "kind", "suffix"),
    [
        ("PNG", "image/png", "png"),
        ("JPEG", "image/jpeg", "jpeg"),
        ("JPEG", "image/png", "jpeg"),  # the bytes decide
        ("WEBP", "application/octet-stream", "webp"),
        ("GIF", "IMAGE/GIF; x=y", "gif"),
        ("BMP", "image/x-ms-bmp", "bmp"),
    ],
)
async def test_a_picture_is_kept_as_it_was_sent(form: str, kind: str, suffix: str, tmp_path) -> None:
    body = picture_bytes(form=form)
    path = await fetch(reply(body, kind), tmp_path / "made")
    assert path == tmp_path / "made" / f"{hashlib.sha256(body).hexdigest()}.{suffix}"
    assert path.read_bytes() == body
    assert decode_file(path, Limits()).shape == (6, 8, 3)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_the_name_holds_nothing_that_strangers_wrote(tmp_path) -> None:
    async with serving(
        {"/../../x": reply(picture_bytes(), "image/png"), "/x": reply(picture_bytes(), "image/png")}
    ) as site:
        path = await PictureFetcher(fetcher_of(site)[0], tmp_path).fetch(SITE + "/../../x?name=../../evil.sh")
    assert path.parent == tmp_path
    assert len(path.stem) == 64
    assert "evil" not in str(path)


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "image/tiff", "application/pdf", ""])
async def test_types_that_are_no_pictures_are_not_downloaded(kind: str, tmp_path) -> None:
    with pytest.raises(FetchError, match="sent '"):
        await fetch(reply(picture_bytes(), kind), tmp_path)
    assert not list(tmp_path.iterdir())


def tiff() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (4, 4)).save(file, "TIFF")
    return file.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"


@pytest.mark.parametrize("body", [SVG, b"<html>", b"", b"GIF89a", tiff(), EPS, b"%PDF-1.4", picture_bytes()[:60]])
async def test_other_bytes_are_refused_whatever_they_claim_to_be(body: bytes, tmp_path) -> None:
    with pytest.raises(MediaError):
        await fetch(reply(body, "image/png"), tmp_path)
    assert not list(tmp_path.iterdir())


async def test_too_many_pixels_are_refused_from_the_header(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    for width, height in ((8000, 7000), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (30_000, 1_700)):
        with pytest.raises(MediaError):
            await fetch(reply(png_header(width, height, bytes(1000)), "image/png"), tmp_path)
    with pytest.raises(MediaError, match="more than the limit of 40"):
        await fetch(reply(picture_bytes(), "image/png"), tmp_path, max_pixels=40)


async def test_a_cut_picture_is_left_out(tmp_path) -> None:
    whole = picture_bytes(200, 200, "JPEG")
    with pytest.raises(MediaError):
        await fetch(reply(whole[: len(whole) // 2], "image/jpeg"), tmp_path)


async def test_the_same_picture_is_kept_once_even_when_many_fetch_it(tmp_path) -> None:
    async with serving({"/p": reply(picture_bytes(), "image/png")}) as site:
        pictures = PictureFetcher(fetcher_of(site)[0], tmp_path)
        paths = await asyncio.gather(*(pictures.fetch(f"{SITE}/p?{number}") for number in range(10)))
    assert len(set(paths)) == len(list(tmp_path.iterdir())) == 1


async def test_a_folder_that_cannot_be_written_is_named_as_such(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MediaError, match="cannot save a picture"):
        await fetch(reply(picture_bytes(), "image/png"), tmp_path / "file")


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
