"""Media from the open web, through the fetcher that can reach nothing inwards."""

import asyncio

from tools.media import Limits
from tools.web import Fetcher, FetchLimits
from tools.web.pictures import KINDS as PICTURE_KINDS

VIDEO_KINDS = (
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/matroska",
    "video/x-msvideo",
    "video/mpeg",
    "video/mp2t",
    "video/ogg",
)
"""Content types that may hold a clip; the bytes decide in the end."""

_SECONDS = 60.0
"""For one fetch, redirects included: a clip is larger than the pages that the fetcher's own limit is made for."""

_AT_ONCE = 8
"""Fetches at once, of all requests together."""


class WebMedia:
    """Follow the URLs of requests, so many at once."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def fetch_media(self, url: str) -> bytes:
        """Return the bytes of a picture or video; FetchError if the URL is refused or brings none."""
        async with self._places:
            fetched = await self._fetcher.fetch(url, (*PICTURE_KINDS, *VIDEO_KINDS))
        return fetched.body


def web_media(limits: Limits) -> WebMedia:
    """Return what follows URLs to files of at most `limits.max_bytes`."""
    return WebMedia(Fetcher(FetchLimits(seconds=_SECONDS, bytes=limits.max_bytes)))
