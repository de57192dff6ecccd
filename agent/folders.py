"""Folders for results; asked about before the work is done."""

import os
from pathlib import Path

from tools.errors import InputError, boundary


def check_directory(directory: Path) -> None:
    """Raise InputError if results cannot be put there."""
    with boundary(InputError, f"cannot use {directory}", remedy="Name another folder."):
        nearest = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise InputError(f"{nearest} is a file, not a folder.", remedy="Name another folder with --out.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise InputError(f"{nearest} cannot be written to.", remedy="Name another folder with --out.")
