"""A folder of recorded searches: one JSON file for each, pictures beside them by sha256; readable and movable."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from tools.errors import SearchError, boundary
from tools.search.base import ImageHit, TextHit
from tools.web.pictures import write_whole

MAX_PICTURE_BYTES = 64 * 1024**2
"""A picture of more is not copied."""

_PICTURE = re.compile(r"[0-9a-f]{64}(?:\.[a-z0-9]{1,8})?")


class BrokenRecordingError(SearchError):
    """A recording that is there cannot be used."""


class Key(BaseModel, frozen=True):
    """What makes two searches the same; everything in it changes the name of the file."""

    provider: str
    version: str
    kind: Literal["text", "images"]
    query: str
    limit: int
    options: dict[str, str]

    @property
    def name(self) -> str:
        """Return 64 hexadecimal digits, the same on every machine."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class _Text(BaseModel):
    title: str
    snippet: str
    source: str
    score: float


class _Image(BaseModel):
    name: str
    file: str
    source: str
    score: float


class Recording(BaseModel):
    """What a search gave: hits, or the provider's fault in its own words."""

    key: Key
    recorded: datetime
    texts: list[_Text] = []
    images: list[_Image] = []
    fault: str = ""
    remedy: str = ""


class Recordings:
    """Read and write recordings in a folder: `searches/` and `pictures/`."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made when something is written."""
        self.folder = folder
        self.pictures = folder / "pictures"

    def find(self, key: Key) -> Recording | None:
        """Return the recording of `key`, None if there is none; BrokenRecordingError, with its path, if it is broken.

        Whole means: it can be parsed, it is of this key, and each of its pictures is there and has its hash.
        """
        path = self._path(key)
        if not path.exists():
            return None
        remedy = f"Delete it, or record it again: {path}"
        try:
            recording = Recording.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise BrokenRecordingError(f"the recording {path.name} cannot be read.", remedy=remedy) from error
        if recording.key != key:
            raise BrokenRecordingError(f"the recording {path.name} is of another search.", remedy=remedy)
        for image in recording.images:
            if not self._is_whole(image.file):
                told = f"the recording {path.name} lacks its picture {image.file[:80]!r}, or it has changed."
                raise BrokenRecordingError(told, remedy=remedy)
        return recording

    def keep(self, key: Key, texts: Sequence[TextHit], images: Sequence[ImageHit]) -> Recording:
        """Record hits and copy their files; SearchError if one cannot be read or the folder not written."""
        return self._write(
            Recording(
                key=key,
                recorded=datetime.now(UTC),
                texts=[
                    _Text(title=hit.title, snippet=hit.snippet, source=hit.source, score=hit.score) for hit in texts
                ],
                images=[
                    _Image(name=hit.name, file=self._copy(hit.path), source=hit.source, score=hit.score)
                    for hit in images
                ],
            )
        )

    def keep_fault(self, key: Key, error: SearchError) -> None:
        """Record that the provider failed; SearchError if the folder cannot be written."""
        self._write(Recording(key=key, recorded=datetime.now(UTC), fault=error.message, remedy=error.remedy))

    def texts_of(self, recording: Recording) -> list[TextHit]:
        """Return the text hits of a recording."""
        return [TextHit(hit.title, hit.snippet, hit.source, hit.score) for hit in recording.texts]

    def images_of(self, recording: Recording) -> list[ImageHit]:
        """Return the image hits of a recording, their files in this folder."""
        return [ImageHit(hit.name, self.pictures / hit.file, hit.source, hit.score) for hit in recording.images]

    def _path(self, key: Key) -> Path:
        return self.folder / "searches" / key.name[:2] / f"{key.name}.json"

    def _is_whole(self, file: str) -> bool:
        """Return whether a picture is there with its own hash; a name that leads elsewhere is none."""
        path = self.pictures / file
        known = _PICTURE.fullmatch(file) is not None and path.is_file()
        return known and hashlib.sha256(path.read_bytes()).hexdigest() == file[:64]

    def _copy(self, path: Path) -> str:
        with boundary(SearchError, f"the picture {path.name} cannot be recorded", remedy="Check the cache's folder."):
            if path.stat().st_size > MAX_PICTURE_BYTES:
                raise SearchError(
                    f"the picture {path.name} has more than {MAX_PICTURE_BYTES} bytes.", remedy="Make it smaller."
                )
            content = path.read_bytes()
            name = hashlib.sha256(content).hexdigest()
            if _PICTURE.fullmatch(name + path.suffix.lower()):
                name += path.suffix.lower()
            if not self._is_whole(name):
                write_whole(self.pictures / name, content)
            return name

    def _write(self, recording: Recording) -> Recording:
        remedy = "Check the space and the rights of the cache's folder."
        with boundary(SearchError, "a search cannot be recorded", remedy=remedy):
            write_whole(self._path(recording.key), recording.model_dump_json(indent=1).encode())
        return recording
