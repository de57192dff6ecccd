"""Find the pictures and clips of a folder by their names, without opening them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from tools.errors import InputError, boundary
from tools.media.images import FORMATS

_VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpeg", ".mpg", ".flv", ".ogg", ".ogv", ".wmv")


@dataclass(frozen=True)
class File:
    """A picture or clip: its path from the folder, parts joined by "/", its bytes, and when it was last written."""

    name: str
    size: int
    written_ns: int


def find_files(folder: Path, *, recursive: bool = False) -> list[File]:
    """Return the pictures and clips of a folder, by name; hidden ones and other kinds of files are passed over.

    `recursive` takes the folders in it, too, but follows no links to folders. Raises InputError if it is no folder,
    cannot be read, or holds none.
    """
    remedy = "Name a folder of pictures and clips."
    with boundary(InputError, f"{folder} cannot be read", remedy=remedy):
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder.", remedy=remedy)
        files = sorted(_walk(folder, "", _suffixes(), recursive), key=lambda file: file.name)
    if not files:
        deeper = "" if recursive else " Folders in it are labelled, too, with --recursive."
        raise InputError(f"there are no pictures or clips in {folder}.", remedy=remedy + deeper)
    return files


def _walk(folder: Path, under: str, suffixes: frozenset[str], recursive: bool) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = under + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if recursive and not entry.is_symlink():
                    yield from _walk(Path(entry.path), f"{name}/", suffixes, recursive)
            elif Path(entry.name).suffix.lower() in suffixes:
                told = entry.stat(follow_symlinks=False)  # of a link that leads nowhere there is no other
                yield File(name, told.st_size, told.st_mtime_ns)


def _suffixes() -> frozenset[str]:
    pictures = {suffix for suffix, kind in PIL.Image.registered_extensions().items() if kind in FORMATS}
    return frozenset(pictures | set(_VIDEOS))
