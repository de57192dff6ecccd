"""The files of finished runs, for a while: found only by an id that was made here, and by one of a few known names."""

import asyncio
import re
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

from agent.saving import MASKS, OVERLAY, RESULT, VIDEO
from agent.scratch import Scratch

KINDS: Mapping[str, str] = {
    OVERLAY: "image/png",
    VIDEO: "video/mp4",
    MASKS: "application/json",
    RESULT: "application/json",
}
"""What can be fetched, and its content type."""

_SWEEP_SECONDS = 60.0
_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """Return an id that cannot be guessed: 128 random bits, in hex."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class _Kept:
    size: int
    until: float


class FileStore:
    """Keep a folder for each run until it is too old, or newer ones need the room; safe across threads.

    `names` are those of the files that can be fetched.
    """

    def __init__(self, *, seconds: float, max_bytes: int, names: Collection[str] = tuple(KINDS)) -> None:
        self._names = names
        self._scratch = Scratch("serve")
        self._seconds, self._max_bytes = seconds, max_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()
        self._closed = False
        self.bytes = 0
        """Bytes of all files kept."""

    def folder(self, run_id: str) -> Path:
        """Return where the files of a run are to be saved; nothing is there before, and nobody is told of it yet."""
        return self._scratch.path / run_id

    def keep(self, run_id: str) -> list[str]:
        """Take a saved folder in and return the names that can be fetched; the oldest give way if room is short."""
        folder = self.folder(run_id)
        with self._lock:
            if self._closed:
                self._scratch.close()
                return []
            sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
            self._kept[run_id] = _Kept(sum(sizes.values()), monotonic() + self._seconds)
            self.bytes += self._kept[run_id].size
            self._forget()
            return [name for name in self._names if name in sizes and run_id in self._kept]

    def find(self, run_id: str, name: str) -> Path | None:
        """Return a file, None if there is none of that id and name, or no longer."""
        if not _ID.fullmatch(run_id) or name not in self._names:
            return None
        with self._lock:
            self._forget()
            path = self.folder(run_id) / name
            return path if run_id in self._kept and path.is_file() else None

    async def keep_clean(self) -> None:
        """Remove what is too old until cancelled, also while nobody asks for anything."""
        while True:
            await asyncio.sleep(min(self._seconds, _SWEEP_SECONDS))
            with self._lock:
                self._forget()

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            self._kept.clear()
            self.bytes, self._closed = 0, True
            self._scratch.close()

    def _forget(self) -> None:
        """Remove what is too old, then the oldest until all fit; the caller holds the lock."""
        now = monotonic()
        while self._kept:
            oldest, kept = next(iter(self._kept.items()))
            if kept.until > now and self.bytes <= self._max_bytes:
                break
            del self._kept[oldest]
            self.bytes -= kept.size
            shutil.rmtree(self.folder(oldest), ignore_errors=True)
