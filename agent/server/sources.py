"""From what a request names to open media: data URIs, uploaded bytes, and URLs if the server has something to fetch.

Files of this machine are never read for a request: a path and a `file://` address are refused by their form alone.
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent.server.errors import RequestError
from tools.errors import MediaError, boundary
from tools.media import Limits, Media, open_media

_GIVE = "Send it as a data URI: data:image/png;base64,… or data:video/mp4;base64,…"
_SHOWN_CHARS = 60


class MediaFetcher(Protocol):
    """Follow URLs that strangers name; must itself refuse whatever is not a public address."""

    async def fetch_media(self, url: str) -> Path | bytes:
        """Return the picture or video at an http or https URL, as a file or as its bytes; SegscoutError if refused."""
        ...


class NoFetcher:
    """Follow no URL."""

    async def fetch_media(self, url: str) -> Path | bytes:
        """Raise RequestError, whatever the URL."""
        raise RequestError("URLs are not fetched by this server.", remedy=_GIVE, code="url_not_fetched")


async def open_sources(urls: Sequence[str], folder: Path, fetcher: MediaFetcher, limits: Limits) -> Media:
    """Open what a message shows: one picture or video, or several pictures as the frames of a clip.

    `folder` takes the files until the media are closed; their names are made here. What the bytes hold decides, not
    what a URL calls them. Raises RequestError for a refused URL, MediaError for what cannot be opened.
    """
    files: list[Path] = []
    size = 0
    for number, url in enumerate(urls):
        files.append(await _to_file(url, folder / f"media-{number}", fetcher))
        size += files[-1].stat().st_size
        limits.check_bytes(size, "what the message shows")  # before more is fetched
    return await asyncio.to_thread(open_files, files, limits)


def open_files(files: Sequence[Path], limits: Limits) -> Media:
    """Open one file, or several pictures of one size as a clip; MediaError if that cannot be done.

    What a decoder says is left out of the error: it is of no use to people, and holds the file's path here.
    """
    try:
        return open_media(files[0] if len(files) == 1 else list(files), limits=limits)
    except MediaError as error:
        told = error.message if error.__cause__ is None else f"{error.message.partition(': ')[0]}."
        raise MediaError(told, remedy=error.remedy) from error


def write_source(data: bytes, path: Path) -> Path:
    """Write what was sent to a file of ours; MediaError if the disk does not take it."""
    with boundary(MediaError, "cannot keep what was sent", remedy="Try again later."):
        path.write_bytes(data)
    return path


async def _to_file(url: str, path: Path, fetcher: MediaFetcher) -> Path:
    scheme = url[:8].lower()
    if scheme.startswith("data:"):
        return await asyncio.to_thread(lambda: write_source(decode_data_uri(url), path))
    if scheme.startswith(("http://", "https://")):
        fetched = await fetcher.fetch_media(url)
        return fetched if isinstance(fetched, Path) else await asyncio.to_thread(write_source, fetched, path)
    raise RequestError(f"{url[:_SHOWN_CHARS]!r} is no address that is followed.", remedy=_GIVE, code="url_refused")


def decode_data_uri(uri: str) -> bytes:
    """Return the bytes of a base64 data URI; RequestError if it is none."""
    head, comma, payload = uri.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        raise RequestError("a data URI must hold base64.", remedy=_GIVE, code="invalid_data_uri")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        told = "the base64 of a data URI is damaged."
        raise RequestError(told, remedy="Encode it again, without line breaks.", code="invalid_data_uri") from error
