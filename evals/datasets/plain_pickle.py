"""Pickles of published data sets, read as data: plain values only, so that no file from the web can run anything."""

import pickle
from pathlib import Path
from typing import Any, NoReturn

from tools.errors import InputError, boundary


class _PlainUnpickler(pickle.Unpickler):
    """Build numbers, texts, lists, tuples and dicts, for which no name is looked up, and refuse all else."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise InputError(
            f"the pickle asks for {module}.{name}, and only plain values are read: what it names could run anything.",
            remedy="Download the file from its authors again, and do not unpickle this one.",
        )


def load_plain_pickle(path: Path, *, remedy: str) -> Any:
    """Load a pickle, also of Python 2, whose texts are taken for UTF-8.

    InputError if it holds anything but plain values, with the name that it asks for, and if it cannot be read.
    """
    with boundary(InputError, f"{path} cannot be read", remedy=remedy), path.open("rb") as file:
        return _PlainUnpickler(file, encoding="utf-8", errors="replace").load()
