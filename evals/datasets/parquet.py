"""Rows of published parquet files: one group of rows in memory at a time, and only the columns that are asked for."""

import importlib
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image

from tools.errors import InputError, MediaError, boundary
from tools.media import open_media
from tools.media.images import FORMATS
from tools.segmenters.base import Frames


def find_parquet(data: Path, split: str, layout: str) -> list[Path]:
    """List the files of a split in order: DATA itself if it is a file, else SPLIT.parquet or SPLIT-*.parquet.

    They may lie in DATA or, as the hub's downloads have it, in DATA/data. InputError names the file that is missing;
    `layout` says what there should be.
    """
    if data.is_file():
        return [data]
    for folder in (data, data / "data"):
        whole, parts = folder / f"{split}.parquet", sorted(folder.glob(f"{split}-*.parquet"))
        if whole.is_file() or parts:
            return [whole] if whole.is_file() else parts
    raise InputError(f"{data / f'{split}.parquet'} is missing.", remedy=layout)


def holds_parquet(data: Path) -> bool:
    """Return whether DATA is a parquet file or a folder of some, as the hub's downloads are."""
    return data.is_file() or any((*data.glob("*.parquet"), *data.glob("data/*.parquet")))


class ParquetRows:
    """Read single rows of parquet files, seen as one list.

    A row costs its whole row group the first time (datasets with pictures are published in groups of 100 rows), so
    indices near one another are cheap. Safe between threads; pickles without what it has read. InputError for a file
    that is no parquet, lacks one of `columns`, or if pyarrow is not installed.
    """

    def __init__(self, files: Sequence[Path], columns: Sequence[str], layout: str) -> None:
        self._layout = layout
        self._groups: list[tuple[Path, int]] = []
        self._starts: list[int] = [0]
        self.columns: frozenset[str] = frozenset()
        """All columns that the files have."""
        for path in files:
            file = self._open(path)
            self.columns = frozenset(file.schema_arrow.names)
            missing = sorted(set(columns) - self.columns)
            if missing:
                raise InputError(f"{path} has no column {', '.join(missing)}.", remedy=layout)
            for group in range(file.num_row_groups):
                self._groups.append((path, group))
                self._starts.append(self._starts[-1] + file.metadata.row_group(group).num_rows)
        self._last: tuple[tuple[int, tuple[str, ...]], Any] | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}

    def row(self, index: int, columns: Sequence[str]) -> dict[str, Any]:
        """Return a row's cells as plain Python values; columns that the files lack are None."""
        present = [column for column in columns if column in self.columns]
        cells = self.cells(index, present)
        return {column: cells[column].as_py() if column in cells else None for column in columns}

    def cells(self, index: int, columns: Sequence[str]) -> Mapping[str, Any]:
        """Return a row's cells as pyarrow scalars, for what is too large for Python lists; IndexError beyond."""
        index = range(len(self))[index]
        number = bisect_right(self._starts, index) - 1
        key, last = (number, tuple(columns)), self._last
        if last is None or last[0] != key:
            path, group = self._groups[number]
            with boundary(InputError, f"{path} cannot be read", remedy="Download it again."):
                # Through a local name: another thread may read another group meanwhile.
                self._last = last = key, self._open(path).read_row_group(group, columns=list(columns))
        table = last[1]
        return {column: table.column(column)[index - self._starts[number]] for column in columns}

    def _open(self, path: Path) -> Any:
        module = _pyarrow_parquet()
        with boundary(InputError, f"{path} cannot be read as parquet", remedy=self._layout):
            return module.ParquetFile(path)


def decode_picture(cell: Mapping[str, Any] | bytes | None, name: str) -> Frames:
    """Open a picture cell, as `datasets` writes them ({"bytes", "path"}) or plain bytes, as a clip of one frame.

    MediaError, with `name`, if it holds no bytes or they are no picture.
    """
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(content, bytes):
        raise MediaError(
            f"{name} is not in the file.", remedy="Give the published parquet, which has the pictures in it."
        )
    with boundary(MediaError, f"{name} cannot be decoded", remedy="Download the file again."):
        return open_media(PIL.Image.open(io.BytesIO(content), formats=FORMATS), name=name).frames


def _pyarrow_parquet() -> ModuleType:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as missing:
        raise InputError("parquet files need pyarrow.", remedy="pip install --editable '.[train]'") from missing
