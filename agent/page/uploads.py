"""What people drop on the page: kept for a while under an id made here, looked at before anything is asked of it."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import PIL.Image

from agent.server.errors import RequestError
from agent.server.files import FileStore, new_id
from agent.server.gate import Gate
from agent.server.settings import ServerSettings
from agent.server.sources import open_files
from tools.errors import MediaError, SegscoutError, boundary
from tools.image_store import Image
from tools.media import Media

MEDIA, PREVIEW, ABOUT = "upload", "preview.jpg", "about.json"
_PREVIEW_SIDE = 1280

Writer = Callable[[Path], Awaitable[None]]
"""Writes what was dropped to a path."""


@dataclass(frozen=True)
class Upload:
    """Media that the page shows; width and height in pixels, `fps` in frames a second, 0 for a picture."""

    id: str
    kind: Literal["image", "video"]
    width: int
    height: int
    frames: int
    fps: float


class Uploads:
    """Keep what was dropped, within the same limits as the media of every other request."""

    def __init__(self, settings: ServerSettings) -> None:
        self._limits = settings.media
        self._gate = Gate(settings.running, settings.waiting, seconds=settings.waiting_seconds)
        self.store = FileStore(
            seconds=settings.file_seconds, max_bytes=settings.file_bytes, names=(MEDIA, PREVIEW, ABOUT)
        )

    async def add(self, write: Writer) -> Upload:
        """Keep what `write` writes; MediaError if it cannot be opened, RequestError (429) if too many come at once."""
        async with self._gate.enter():
            upload_id = new_id()
            folder = self.store.folder(upload_id)
            try:
                with boundary(MediaError, "what was sent cannot be kept", remedy="Try again later."):
                    folder.mkdir()
                    await write(folder / MEDIA)
                upload = await asyncio.to_thread(self._look, folder, upload_id)
            except (SegscoutError, asyncio.CancelledError):
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self.store.keep(upload_id)
            return upload

    def find(self, upload_id: str) -> Upload:
        """Return what was dropped under an id; RequestError (404) if it is here no longer."""
        path = self.store.find(upload_id, ABOUT)
        if path is None:
            raise gone()
        with boundary(MediaError, "what was sent cannot be found", remedy="Drop it again."):
            return Upload(**json.loads(path.read_text(encoding="utf-8")))

    async def open(self, upload_id: str, folder: Path) -> Media:
        """Open a copy of what was dropped, in `folder`; RequestError (404) if it is here no longer."""
        path = self.store.find(upload_id, MEDIA)
        if path is None:
            raise gone()
        with boundary(MediaError, "what was sent cannot be opened", remedy="Drop it again."):
            copy = await asyncio.to_thread(shutil.copyfile, path, folder / MEDIA)
        return await asyncio.to_thread(open_files, [copy], self._limits)

    def _look(self, folder: Path, upload_id: str) -> Upload:
        with open_files([folder / MEDIA], self._limits) as media:
            upload = Upload(upload_id, media.kind, media.width, media.height, len(media.frames), media.fps)
            with boundary(MediaError, "the first frame cannot be read", remedy="Check that the file is complete."):
                _write_preview(media.frames[0], folder / PREVIEW)
                (folder / ABOUT).write_text(json.dumps(asdict(upload)), encoding="utf-8")
            return upload


def gone() -> RequestError:
    """Return the error for media that are kept no longer."""
    return RequestError("the media are here no longer.", remedy="Drop them again.", status=404, code="media_gone")


def _write_preview(frame: Image, path: Path) -> None:
    picture = PIL.Image.fromarray(frame)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
    picture.save(path, "JPEG", quality=88)
