"""Folders for what strangers sent, which do not outlive their process, even one that was killed.

A folder is locked as long as it is used, and the lock goes with the process however it ends; whoever makes the next
folder removes those of his own that nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from time import time

_PREFIX = "segscout-"
_LOCK = ".lock"
_YOUNG_SECONDS = 60.0
"""A folder is not looked at before: its maker may not have locked it yet."""


class Scratch:
    """A folder of this user's alone in the system's temporary folder, to be closed."""

    def __init__(self, kind: str) -> None:
        _remove_left_over()
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-"))
        self._lock = (self.path / _LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _remove_left_over() -> None:
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            status = lock.stat()
            if status.st_uid != os.getuid() or time() - status.st_mtime < _YOUNG_SECONDS:
                continue
            with lock.open("r") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            continue  # it is in use, or another process was faster
