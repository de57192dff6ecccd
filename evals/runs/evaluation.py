"""Evaluate a benchmark: run what is not yet done, keep every row, and sum them up."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Benchmark, Row, RunSample, row_from_plain
from evals.report.writing import write_report
from evals.runs.journal import Journal
from evals.runs.spec import RunSpec
from evals.runs.summary import Summary, summarise
from evals.runs.table import write_rows
from evals.runs.work import Engine, PlainRow, Play
from tools.errors import EvaluationError, InputError, SegscoutError, boundary

ROWS, TABLE, SUMMARY, REPORT = "rows.jsonl", "rows.parquet", "summary.json", "report.html"


Watch = Callable[[str, int, int], AbstractContextManager[Callable[[float], None]]]
"""Shows how far a run is; see `evals.progress.score_bar`."""


@dataclass(frozen=True)
class EvaluationWork:
    """The samples of a benchmark as work; every worker opens the benchmark and loads the models."""

    spec: RunSpec

    async def open(self) -> Play:
        """Open the benchmark and load what it needs."""
        benchmark = open_benchmark(self.spec)
        run = await benchmark.prepare(self.spec)

        async def play(index: int) -> PlainRow:
            return (await run_sample(benchmark, run, index)).to_plain()

        return play

    def failed(self, index: int, error: SegscoutError) -> PlainRow:
        """Return a sample that could not be run as the row of a failure."""
        return _failure(open_benchmark(self.spec), index, error).to_plain()


async def evaluate(
    spec: RunSpec, engine: Engine, *, folder: Path | None = None, watch: Watch | None = None, retry: bool = False
) -> tuple[Summary, list[Row]]:
    """Run a benchmark and return its summary and its rows in order; a sample that fails is a row of a failure.

    With a `folder`, rows are kept there as they come and a later call goes on with them, with `retry` also with samples
    that failed because a part was broken; at the end there are a Parquet file of them, the summary as JSON and a report
    to read. `watch` is given the title, the number of samples and how many are done, and then the score of each row as
    it comes. Raises InputError for a benchmark or folder that cannot be used, and what `prepare` raises.
    """
    benchmark = open_benchmark(spec)
    if not len(benchmark):
        raise InputError(f"{benchmark.title} has no samples.", remedy="Check the folder and the split.")
    header = {"spec": spec.to_plain(), "samples": len(benchmark)}
    with nullcontext() if folder is None else Journal(folder / ROWS, header) as journal:
        plain = {} if journal is None else dict(journal.rows)
        todo = [i for i in range(len(benchmark)) if i not in plain or (retry and row_from_plain(plain[i]).broken)]
        start = perf_counter()
        with (watch or _unwatched)(benchmark.title, len(benchmark), len(benchmark) - len(todo)) as show:
            async for row in engine.run(EvaluationWork(spec), todo):
                if journal is not None:
                    journal.append(row)
                plain[row["index"]] = row
                show(row["score"])
        wall = perf_counter() - start
        rows = [row_from_plain(plain[index]) for index in sorted(plain)]
        summary = summarise(
            benchmark, spec, rows, done=len(todo), wall=wall, finished=_finished(folder), engine=engine.name
        )
        if folder is not None:
            write_rows(rows, folder / TABLE, summary.to_plain())
            with boundary(InputError, f"{folder} cannot be written", remedy="Check the room on its disk."):
                (folder / SUMMARY).write_text(json.dumps(summary.to_plain(), indent=2) + "\n", encoding="utf-8")
            write_report(folder / REPORT, summary, rows, benchmark)
    return summary, rows


def _finished(folder: Path | None) -> str:
    """Return when the last row came; by the file, so that going on with a run that is complete changes nothing."""
    when = datetime.now(UTC) if folder is None else datetime.fromtimestamp((folder / ROWS).stat().st_mtime, UTC)
    return when.isoformat(timespec="seconds")


def _unwatched(what: str, total: int, done: int) -> AbstractContextManager[Callable[[float], None]]:
    return nullcontext(lambda score: None)


async def run_sample(benchmark: Benchmark, run: RunSample, index: int) -> Row:
    """Run one sample; one that cannot be read or scored is a row of a failure."""
    remedy = "Check its files; else it is a fault of ours."
    try:
        with boundary(EvaluationError, f"sample {index} could not be scored", remedy=remedy):
            return await run(index)
    except SegscoutError as error:
        return _failure(benchmark, index, error)


def _failure(benchmark: Benchmark, index: int, error: SegscoutError) -> Row:
    row = Row(index=index, id=str(index), ending="not_run", error=error.boundary, message=str(error))
    return benchmark.failed(row)
