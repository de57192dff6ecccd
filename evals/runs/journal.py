"""Rows on disk while a run lasts: one JSON object a line, the first line saying what the run is.

A line is written whole and flushed, so a killed run loses at most the row it was writing.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Self

from evals.runs.work import PlainRow
from tools.errors import InputError, boundary

_REMEDY = "Check the folder and the room on its disk."


class Journal:
    """A file of rows, one for each item done; opening it again goes on with it.

    `header` is what decides the rows. Raises InputError if the file belongs to another run, which names what differs;
    if another process is writing it; if a line is no row; and if it cannot be read or written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[int, PlainRow] = {}
        with boundary(InputError, f"{path} cannot be written", remedy=_REMEDY):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("a+", encoding="utf-8")
        with ExitStack() as undone:
            undone.callback(self._file.close)
            self._lock()
            cut_torn_line(path)
            self._resume(header)
            undone.pop_all()

    def append(self, row: PlainRow) -> None:
        """Keep the row of an item; InputError if it cannot be written."""
        self._write(row)
        self.rows[row["index"]] = row

    def close(self) -> None:
        """Close the file; what was written stays, but a run that came to no row leaves nothing."""
        if not self.rows:
            self.path.unlink(missing_ok=True)
        with suppress(OSError):  # it would write once more what could not be written, which was told
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            raise InputError(
                f"another process is writing {self.path}.", remedy="Wait for it, or name another folder."
            ) from taken

    def _resume(self, header: Mapping[str, Any]) -> None:
        ours = json.loads(json.dumps(header))
        with self.path.open("rb") as lines:  # one by one: with the masks of many samples all of it is large
            first = next(lines, None)
            if first is None:
                self._write(ours)
                return
            self._compare(ours, _read_line(first, self.path, 1))
            for number, line in enumerate(lines, 2):
                row = _read_line(line, self.path, number)
                self.rows[row["index"]] = row

    def _compare(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        if ours != theirs:
            now, then = _flat(ours), _flat(theirs)
            changed = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
            told = "; ".join(f"{key} was {then.get(key)!r} and is {now.get(key)!r}" for key in changed)
            raise InputError(
                f"{self.path} is of another run: {told}.", remedy="Say the same again, or name another folder."
            )

    def _write(self, plain: Mapping[str, Any]) -> None:
        with boundary(InputError, f"{self.path} cannot be written", remedy=_REMEDY):
            self._file.write(json.dumps(plain, separators=(",", ":")) + "\n")
            self._file.flush()


def cut_torn_line(path: Path) -> None:
    """Cut off a last line that a killed run left unfinished: what is appended must begin on a line of its own."""
    if not path.exists():
        return
    with path.open("rb") as file:
        torn = next((len(line) for line in file if not line.endswith(b"\n")), 0)
    if torn:
        os.truncate(path, path.stat().st_size - torn)


def _flat(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header with what is in its objects beside all else, so that only what differs is told."""
    inner = {key: value for part in header.values() if isinstance(part, dict) for key, value in part.items()}
    return {key: value for key, value in header.items() if not isinstance(value, dict)} | inner


def _read_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        plain = json.loads(line)
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or (number > 1 and not isinstance(plain.get("index"), int)):
        raise InputError(f"{path}, line {number}, is no row.", remedy="Remove that line, or name another folder.")
    return plain
