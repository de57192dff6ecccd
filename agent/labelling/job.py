"""What is to be labelled and where it goes, checked without the heavy parts, so that a slip is told at once."""

from dataclasses import dataclass
from pathlib import Path

from agent.folders import check_directory
from agent.labelling.files import File
from tools.errors import InputError


@dataclass(frozen=True)
class LabelJob:
    """A folder, the files in it, what to find in each, and the COCO file to write."""

    folder: Path
    files: list[File]
    queries: list[str]
    out: Path

    @property
    def journal(self) -> Path:
        """Where rows are kept as they come; the same job goes on with them."""
        return self.out.with_name(f"{self.out.name}.rows.jsonl")

    def check(self) -> None:
        """Raise InputError if the file cannot be written, or would replace what no labelling of ours wrote."""
        if self.out.is_dir():
            raise InputError(f"{self.out} is a folder.", remedy="Name a file with --out.")
        check_directory(self.out.parent)
        if self.out.exists() and not self.journal.exists():
            raise InputError(
                f"{self.out} is there, and {self.journal.name}, from which it could be renewed, is not.",
                remedy="Name another file with --out, or move that one away.",
            )
