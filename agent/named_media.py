"""Media that a caller names: a file under one folder, a public URL, or the bytes themselves.

A file elsewhere is never read, whatever a path or a link says, and a URL goes through the fetcher that reaches nothing
inwards.
"""

import asyncio
import base64
import binascii
from pathlib import Path
from typing import Protocol

from tools.errors import InputError, MediaError, boundary
from tools.media import Limits, Media, open_media

_SHOWN_CHARS = 200
_MEBIBYTE = 1024**2

FILE_LIMITS = Limits(max_pixels=25_000_000, max_frames=3_600, max_bytes=1_024 * _MEBIBYTE)
SENT_LIMITS = Limits(max_pixels=25_000_000, max_frames=3_600, max_bytes=48 * _MEBIBYTE)
"""For what comes over the wire, fetched or sent, which is held in memory."""


class MediaFetcher(Protocol):
    """Follow URLs that strangers name; must itself refuse whatever is not a public address."""

    async def fetch_media(self, url: str) -> bytes:
        """Return the picture or video at an http or https URL; FetchError if it is refused."""
        ...


def resolve_under(root: Path, path: str) -> Path:
    """Return the file that `path` names, links followed; MediaError unless it lies under `root`.

    Whether a file outside is there is not told.
    """
    remedy = "Name a file under the media root, by its path from there."
    with boundary(MediaError, "the path cannot be used", remedy=remedy):
        here = root.resolve(strict=True)
        file = (here / path).resolve()
    if not file.is_relative_to(here):
        raise MediaError(f"{path[:_SHOWN_CHARS]!r} is not under the media root.", remedy=remedy)
    return file


async def open_under(root: Path, path: str) -> Media:
    """Open a file under `root`; MediaError if it lies elsewhere or cannot be opened."""
    return await asyncio.to_thread(lambda: open_media(resolve_under(root, path), limits=FILE_LIMITS))


async def open_url(url: str, file: Path, fetcher: MediaFetcher) -> Media:
    """Fetch what a URL names to `file`, and open that; InputError, FetchError or MediaError if it cannot be done."""
    if not url.lower().startswith(("http://", "https://")):
        raise InputError(f"{url[:_SHOWN_CHARS]!r} is no web address.", remedy="Write it as https://host/name.")
    return await open_bytes(await fetcher.fetch_media(url), file)


async def open_bytes(data: bytes, file: Path) -> Media:
    """Keep bytes in `file` and open that; MediaError if they are too many, or no picture and no video."""
    SENT_LIMITS.check_bytes(len(data), "what was sent")
    return await asyncio.to_thread(_keep_and_open, data, file)


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64, with or without the head of a data URI; InputError if it is damaged."""
    payload = text.partition(",")[2] if text[:5].lower() == "data:" else text
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("the base64 is damaged.", remedy="Encode the file again, without line breaks.") from error


def _keep_and_open(data: bytes, file: Path) -> Media:
    with boundary(MediaError, "cannot keep the media", remedy="Check the room on the disk."):
        file.write_bytes(data)
    return open_media(file, limits=SENT_LIMITS)
