"""Runs of benchmarks: concurrent, kept row by row, gone on with after a kill, and never mixed up."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Cut, Row, row_from_plain
from evals.runs.evaluation import EvaluationWork, evaluate, run_sample
from evals.runs.journal import Journal
from evals.runs.local import LocalEngine
from evals.runs.spec import RunSpec
from evals.runs.summary import Summary
from evals.runs.work import PlainRow, Play, Work
from tools.errors import InputError

ROOT = Path(__file__).parents[2]
SPEC = RunSpec(benchmark="emblems", seed=5, n=12, policy="oracle", segmenter="exact")


def run(spec: RunSpec = SPEC, folder: Path | None = None, concurrency: int = 1) -> tuple[Summary, list[Row]]:
    return asyncio.run(evaluate(spec, LocalEngine(concurrency), folder=folder))


def untimed(row: Row) -> Row:
    return replace(row, seconds=0.0, details={**row.details, "seconds": 0, "node_seconds": 0})


def test_concurrency_changes_nothing_but_the_time() -> None:
    one, many = run()[1], run(concurrency=8)[1]
    assert [untimed(row) for row in one] == [untimed(row) for row in many]
    assert [row.index for row in one] == list(range(12))
    with pytest.raises(InputError, match="concurrency of 0"):
        run(concurrency=0)


@dataclass(frozen=True)
class Counting(Work):
    """Work that tells how many items are under way, and fails at one of them."""

    at_once: list[int]
    broken: int | None = None

    async def open(self) -> Play:
        now = 0

        async def play(index: int) -> PlainRow:
            nonlocal now
            now += 1
            self.at_once.append(now)
            await asyncio.sleep(0.001 * (index % 3))
            now -= 1
            if index == self.broken:
                raise InputError("no.", remedy="Mend it.")
            return {"index": index}

        return play


async def rows_of(work: Work, items: Sequence[int], concurrency: int) -> list[int]:
    rows: AsyncIterator[PlainRow] = LocalEngine(concurrency).run(work, items)
    return [row["index"] async for row in rows]


@given(st.lists(st.integers(0, 30), unique=True), st.integers(1, 6))
def test_every_item_is_done_once_and_never_more_at_a_time(items: list[int], concurrency: int) -> None:
    seen: list[int] = []
    assert sorted(asyncio.run(rows_of(Counting(seen), items, concurrency))) == sorted(items)
    assert max(seen, default=0) <= concurrency
    assert max(seen, default=0) == min(concurrency, len(items))


async def test_what_is_raised_ends_the_run_and_cancels_the_rest() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(InputError, match="no"):
        await rows_of(Counting([], broken=2), range(100), 4)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


def test_a_run_is_kept_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole, rows = run(folder=tmp_path / "whole")
    assert (whole.n, whole.done) == (12, 12)
    lines = (tmp_path / "whole" / "rows.jsonl").read_text().splitlines(keepends=True)
    half = tmp_path / "half"
    half.mkdir()
    (half / "rows.jsonl").write_text("".join(lines[:6]) + lines[6][:40])  # killed while it wrote its sixth row
    again, same = run(folder=half)
    assert (again.n, again.done) == (12, 7)
    assert [untimed(row) for row in same] == [untimed(row) for row in rows]
    assert again.measures == whole.measures
    report = (half / "report.html").read_bytes()
    nothing, _ = run(folder=half)
    assert nothing.done == 0
    assert (half / "report.html").read_bytes() == report
    assert nothing.finished == again.finished
    table = pq.read_table(half / "rows.parquet")
    assert table["id"].to_pylist() == [row.id for row in rows]
    assert table["score.iou"].to_pylist() == [row.scores["iou"] for row in rows]
    assert json.loads(table.schema.metadata[b"segscout.run"])["n"] == 12
    assert json.loads((half / "summary.json").read_text())["spec"]["seed"] == 5


def test_a_folder_of_another_run_is_refused_and_kept(tmp_path: Path) -> None:
    run(folder=tmp_path)
    before = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"is of another run: seed was 5 and is 6\. Say"):
        run(replace(SPEC, seed=6), tmp_path)
    with pytest.raises(InputError, match="samples was 12 and is 20"):
        Journal(tmp_path / "rows.jsonl", {"spec": SPEC.to_plain(), "samples": 20})
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_two_processes_do_not_write_one_folder(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl", {"a": 1}), pytest.raises(InputError, match="another process"):
        Journal(tmp_path / "rows.jsonl", {"a": 1})
    Journal(tmp_path / "rows.jsonl", {"a": 1}).close()


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 3}', '{"index": "x"}'])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"a":1}}\n{{"index":0}}\n{line}\n{{"index":1}}\n')
    with pytest.raises(InputError, match="line 3, is no row"):
        Journal(tmp_path / "rows.jsonl", {"a": 1})


def test_a_full_disk_is_told_and_what_is_there_can_be_gone_on_with(tmp_path: Path) -> None:
    path, header = tmp_path / "rows.jsonl", {"a": 1}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path, header) as journal:
        journal.append({"index": 0, "said": "x" * 100})
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50, before[1]))  # no room for a row more
    try:
        with pytest.raises(InputError, match=r"rows.jsonl cannot be written"), Journal(path, header) as journal:
            journal.append({"index": 1, "said": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with Journal(path, header) as journal:
        assert list(journal.rows) == [0]


TEXT = st.text(max_size=9)
ROWS = st.builds(
    Row,
    index=st.integers(0, 9),
    id=TEXT,
    query=TEXT,
    score=st.floats(0, 1),
    scores=st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    frame=st.none() | st.integers(0, 9),
    cuts=st.lists(st.builds(Cut, TEXT, st.just({"size": [1, 1], "counts": "01"})), max_size=2).map(tuple),
    said=st.lists(TEXT, max_size=2).map(tuple),
)


@given(ROWS)
def test_a_row_survives_its_line(row: Row) -> None:
    assert row_from_plain(json.loads(json.dumps(row.to_plain()))) == row


async def test_a_sample_that_cannot_be_read_or_scored_is_a_zero() -> None:
    benchmark = open_benchmark(SPEC)

    async def unreadable(index: int) -> Row:
        raise InputError(f"picture {index} is missing.", remedy="Unpack it.")

    async def at_fault(index: int) -> Row:
        raise ZeroDivisionError

    for broken, error in ((unreadable, "input"), (at_fault, "evaluation")):
        row = await run_sample(benchmark, broken, 3)
        assert (row.index, row.error, row.ending, row.score) == (3, error, "not_run", 0.0)
        good = (await (await EvaluationWork(SPEC).open())(0)) if error == "input" else None
        rows = [row] if good is None else [row_from_plain(good), row]
        assert benchmark.measure(rows)[0].value == (0.0 if good is None else 0.5)


@pytest.mark.slow
def test_a_killed_command_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    options = ["--seed", "5", "--n", "60", "--policy", "oracle", "--segmenter", "exact", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "evals.cli", "emblems", *options, "--json"]
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = tmp_path / "rows.jsonl"
    deadline = time.monotonic() + 60
    while not rows.exists() or rows.read_bytes().count(b"\n") < 10:
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.02)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    kept = rows.read_bytes().rsplit(b"\n", 1)[0].splitlines()
    assert 10 <= len(kept) < 61
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert rows.read_bytes().splitlines()[: len(kept)] == kept
    indices = [json.loads(line)["index"] for line in rows.read_bytes().splitlines()[1:]]
    assert sorted(indices) == list(range(60))
    assert json.loads(again.stdout.splitlines()[-1])["n"] == 60
