"""Evaluate a benchmark: run what is not yet done, keep every row, and sum them up."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Benchmark, Measure, Published, Row, RunSample, row_from_plain
from evals.runs.journal import Journal
from evals.runs.spec import RunSpec
from evals.runs.table import write_rows
from evals.runs.versions import versions
from evals.runs.work import Engine, PlainRow, Play
from tools.errors import EvaluationError, InputError, SegscoutError, boundary

ROWS, TABLE, SUMMARY = "rows.jsonl", "rows.parquet", "summary.json"


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


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run came to: measures over `n` samples, `done` of them in this process and the others before."""

    title: str
    counts: str
    spec: RunSpec
    n: int
    done: int
    measures: Sequence[Measure]
    published: Sequence[Published]
    errors: dict[str, int]
    """Samples without an answer, by what kept it from coming."""
    median_seconds: float
    wall_seconds: float
    engine: str
    versions: dict[str, str]

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


async def evaluate(
    spec: RunSpec, engine: Engine, *, folder: Path | None = None, watch: Watch | None = None
) -> tuple[Summary, list[Row]]:
    """Run a benchmark and return its summary and its rows in order; a sample that fails is a row of a failure.

    With a `folder`, rows are kept there as they come and a later call goes on with them; at the end there are a
    Parquet file of them and the summary as JSON. `watch` is given the title, the number of samples and how many are
    done, and then the score of each row as it comes. Raises InputError for a benchmark or folder that cannot be used,
    and what `prepare` raises.
    """
    benchmark = open_benchmark(spec)
    if not len(benchmark):
        raise InputError(f"{benchmark.title} has no samples.", remedy="Check the folder and the split.")
    header = {"spec": spec.to_plain(), "samples": len(benchmark)}
    with nullcontext() if folder is None else Journal(folder / ROWS, header) as journal:
        plain = {} if journal is None else dict(journal.rows)
        todo = [index for index in range(len(benchmark)) if index not in plain]
        start = perf_counter()
        with (watch or _unwatched)(benchmark.title, len(benchmark), len(plain)) as show:
            async for row in engine.run(EvaluationWork(spec), todo):
                if journal is not None:
                    journal.append(row)
                plain[row["index"]] = row
                show(row["score"])
        wall = perf_counter() - start
        rows = [row_from_plain(plain[index]) for index in sorted(plain)]
        summary = summarise(benchmark, spec, rows, done=len(todo), wall=wall, engine=engine.name)
        if folder is not None:
            write_rows(rows, folder / TABLE, summary.to_plain())
            with boundary(InputError, f"{folder} cannot be written", remedy="Check the room on its disk."):
                (folder / SUMMARY).write_text(json.dumps(summary.to_plain(), indent=2) + "\n", encoding="utf-8")
    return summary, rows


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
    scores = benchmark.failure(index)
    return Row(index=index, id=str(index), ending="not_run", error=error.boundary, message=str(error), scores=scores)


def summarise(
    benchmark: Benchmark, spec: RunSpec, rows: Sequence[Row], *, done: int, wall: float, engine: str
) -> Summary:
    """Sum up at least one row."""
    return Summary(
        title=benchmark.title,
        counts=benchmark.counts,
        spec=spec,
        n=len(rows),
        done=done,
        measures=benchmark.measure(rows),
        published=benchmark.published,
        errors=dict(Counter(row.error for row in rows if row.error).most_common()),
        median_seconds=round(median(row.seconds for row in rows), 4),
        wall_seconds=round(wall, 3),
        engine=engine,
        versions=versions(),
    )
