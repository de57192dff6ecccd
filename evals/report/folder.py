"""The report of a run that was made before, from the folder that keeps it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Benchmark, Row, row_from_plain
from evals.report.writing import write_report
from evals.runs.evaluation import REPORT, ROWS, SUMMARY
from evals.runs.journal import Journal
from evals.runs.spec import RunSpec
from evals.runs.summary import Summary, summary_from_plain
from tools.errors import InputError, SegscoutError, boundary

_REMEDY = "Say the run's command again: it goes on where it stopped, and writes what is missing."


def report_folder(folder: Path, data: str | None = None) -> tuple[Path, str]:
    """Write the report of the run in a folder; return its path, and why it has no pictures, "" if it has.

    `data` is where the data set lies now, if it was moved. Raises InputError if the folder holds no finished run.
    """
    summary = _read_summary(folder / SUMMARY)
    rows = _read_rows(folder / ROWS, summary)
    benchmark, without = _open(summary if data is None else replace(summary, spec=replace(summary.spec, data=data)))
    write_report(folder / REPORT, summary, rows, benchmark, without)
    return folder / REPORT, without


def _read_summary(path: Path) -> Summary:
    with boundary(InputError, f"{path} cannot be read as the summary of a run", remedy=_REMEDY):
        return summary_from_plain(json.loads(path.read_bytes()))


def _read_rows(path: Path, summary: Summary) -> list[Row]:
    with boundary(InputError, f"{path} cannot be read as the rows of a run", remedy=_REMEDY):
        with path.open("rb") as file:
            header: dict[str, Any] = json.loads(file.readline())
        spec = RunSpec(**header["spec"])
        with Journal(path, header) as journal:
            rows = [row_from_plain(journal.rows[index]) for index in sorted(journal.rows)]
    # A retry that was cut off has newer rows than its summary.
    same = len(rows) == summary.n and Counter(row.error for row in rows if row.error) == Counter(summary.errors)
    if spec != summary.spec or not same:
        raise InputError(f"{path} and {SUMMARY} beside it are not of the same run.", remedy=_REMEDY)
    return rows


def _open(summary: Summary) -> tuple[Benchmark | None, str]:
    """Open the data set for its pictures, and none if it is not the one that was run on."""
    try:
        benchmark = open_benchmark(summary.spec)
    except SegscoutError as error:
        return None, str(error)
    if len(benchmark) != summary.n:
        return None, f"The data set has {len(benchmark)} samples now, not {summary.n}."
    return benchmark, ""
