"""Pictures from the web into a folder: judged by their bytes, decoded once to be sure, named by their hash."""

import asyncio
import hashlib
import io
import os
import tempfile
from pathlib import Path
from threading import Lock

import PIL.Image

from tools.errors import MediaError, boundary
from tools.media import Limits
from tools.media.images import FORMATS
from tools.web.fetcher import Fetcher

KINDS = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/jpg",
    "image/x-ms-bmp",
    "application/octet-stream",  # what storage services call everything
    "binary/octet-stream",
)
"""Content types that may hold a picture; no SVG, which is a program, and no TIFF. The bytes decide in the end."""

MAX_PIXELS = 50_000_000
_ANOTHER = "Choose another picture."


class PictureFetcher:
    """Fetch pictures and keep them in `folder` as they were sent, named SHA256.FORMAT."""

    def __init__(self, fetcher: Fetcher, folder: Path, *, max_pixels: int = MAX_PIXELS) -> None:
        """Keep pictures of at most `max_pixels` (width times height); the folder is made when it is needed."""
        self.fetcher = fetcher
        self.folder = folder
        self._limits = Limits(max_pixels=max_pixels)
        self._one_at_a_time = Lock()

    async def fetch(self, url: str) -> Path:
        """Return the file that holds the picture at `url`.

        Raises FetchError if it cannot be fetched, MediaError if it is no picture of an allowed format and size.
        """
        fetched = await self.fetcher.fetch(url, KINDS)
        return await asyncio.to_thread(self._keep, fetched.body)

    def _keep(self, body: bytes) -> Path:
        with self._one_at_a_time:  # a picture takes up to 150 MB while it is decoded
            suffix = check_picture(body, self._limits)
        path = self.folder / f"{hashlib.sha256(body).hexdigest()}.{suffix}"
        if not path.exists():
            with boundary(MediaError, "cannot save a picture", remedy="Check the space and the rights of its folder."):
                write_whole(path, body)
        return path


def check_picture(body: bytes, limits: Limits) -> str:
    """Return the format of a picture, lower case, once it is decoded without fault.

    Raises MediaError before decoding if its format is none of `FORMATS` or its header promises too many pixels.
    """
    with (
        boundary(MediaError, "the picture cannot be read", remedy=_ANOTHER),
        PIL.Image.open(io.BytesIO(body), formats=FORMATS) as picture,
    ):
        limits.check_frame(picture.width, picture.height, "the picture")
        picture.load()
        return str(picture.format).lower()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that others see all of it or nothing; OSError if it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        os.unlink(name)
        raise
