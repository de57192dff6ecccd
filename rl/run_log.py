"""The log of a run: one JSON object a line, each with its step; the main process alone writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RunLog:
    """A log that a resumed run goes on with: what lies beyond its checkpoint is made anew, so it is left out."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def kept(self, step: int) -> list[dict[str, Any]]:
        """Return what was logged up to a step by a run that goes on from there; nothing for 0, where a run begins."""
        return [json.loads(line) for line in self._kept(step)]

    def begin(self, step: int) -> None:
        """Leave out what was logged beyond a step, and a line that was not finished; others may be reading."""
        part = self._file.with_suffix(".part")
        part.write_text("".join(self._kept(step)), encoding="utf-8")
        part.replace(self._file)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line; it has a `step`."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _kept(self, step: int) -> list[str]:
        if not step or not self._file.is_file():
            return []
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
