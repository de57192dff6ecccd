"""The media that a call names: a file under the media root, a public URL, or bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from agent.named_media import MediaFetcher, decode_base64, open_bytes, open_under, open_url
from agent.scratch import Scratch
from tools.errors import InputError
from tools.media import Media

_ONE_OF = "Give exactly one of path, url and data."


@dataclass(frozen=True)
class Named:
    """How a call names its media: one of the three."""

    path: str | None
    url: str | None
    data: str | None


class MediaDoor:
    """Open what a call names; `root` None: no file of this machine is read, `fetcher` None: no URL is followed."""

    def __init__(self, root: Path | None, fetcher: MediaFetcher | None) -> None:
        self._root, self._fetcher = root, fetcher

    @asynccontextmanager
    async def open(self, named: Named) -> AsyncIterator[Media]:
        """Open what is named until the block ends; SegscoutError if it is refused or cannot be opened."""
        if sum(one is not None for one in (named.path, named.url, named.data)) != 1:
            raise InputError("the call must name its media once.", remedy=_ONE_OF)
        with closing(Scratch("mcp")) as folder, await self._open(named, folder.path / "media") as media:
            yield media

    async def _open(self, named: Named, file: Path) -> Media:
        if named.path is not None:
            if self._root is None:
                raise InputError("this server reads no files.", remedy="Start it with --media-root FOLDER.")
            return await open_under(self._root, named.path)
        if named.url is not None:
            if self._fetcher is None:
                raise InputError("this server follows no URLs.", remedy="Send the bytes as data.")
            return await open_url(named.url, file, self._fetcher)
        return await open_bytes(decode_base64(named.data or ""), file)
