"""Write the report of a run, whole or not at all."""

import os
from collections.abc import Sequence
from pathlib import Path

from evals.benchmarks.base import Benchmark, Row
from evals.report.page import render_page
from evals.runs.summary import Summary
from tools.errors import InputError, boundary


def write_report(
    path: Path, summary: Summary, rows: Sequence[Row], benchmark: Benchmark | None, without: str = ""
) -> None:
    """Write the page of a run of at least one row; InputError if the file cannot be written.

    `without` says why there is no benchmark to take pictures from.
    """
    # A lone surrogate, which JSON can hold and a file cannot, becomes a question mark.
    page = render_page(summary, rows, benchmark, without).encode("utf-8", "replace")
    with boundary(InputError, f"{path} cannot be written", remedy="Check the folder and the room on its disk."):
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(page)
        os.replace(unfinished, path)
