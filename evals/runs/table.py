"""Rows as a Parquet file, for whoever analyses a run: a column a field, a column a score."""

import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from evals.benchmarks.base import Row
from tools.errors import InputError, boundary

_PLAIN = (
    "index", "id", "query", "group", "ending", "error", "message",
    "score", "seconds", "turns", "searches", "frame",
)  # fmt: skip


def check_arrow() -> None:
    """Raise InputError, with the remedy, if Parquet cannot be written here."""
    _arrow("pyarrow.parquet")


def write_rows(rows: Sequence[Row], path: Path, about: Mapping[str, Any]) -> None:
    """Write rows in order; `about` becomes the file's metadata under "segscout.run".

    Scores are columns "score.<name>". Cuts and details, which differ from row to row, are JSON. Raises InputError if
    the file cannot be written or pyarrow is not installed.
    """
    arrow, parquet = _arrow("pyarrow"), _arrow("pyarrow.parquet")
    names = sorted({name for row in rows for name in row.scores})
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in _PLAIN}
    columns |= {f"score.{name}": [row.scores.get(name) for row in rows] for name in names}
    columns["said"] = [list(row.said) for row in rows]
    columns["cuts"] = [json.dumps([{"label": cut.label, "rle": cut.rle} for cut in row.cuts]) for row in rows]
    columns["details"] = [json.dumps(row.details) for row in rows]
    table = arrow.table(columns).replace_schema_metadata({"segscout.run": json.dumps(about)})
    with boundary(InputError, f"{path} cannot be written", remedy="Check the folder and the room on its disk."):
        unfinished = path.with_suffix(".part")
        parquet.write_table(table, unfinished, compression="zstd")
        os.replace(unfinished, path)


def _arrow(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        remedy = "pip install --editable '.[evals]'"
        raise InputError("results are kept as Parquet, which needs pyarrow.", remedy=remedy) from missing
