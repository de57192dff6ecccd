"""A small run for reports: ReasonSeg in its official layout, and rows as if a policy had answered them."""

import json
from pathlib import Path

import numpy as np
from dataset_fixtures import reason_seg

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Benchmark, Cut, Row
from evals.metrics.referring import count_overlap
from evals.runs.evaluation import SUMMARY
from evals.runs.spec import RunSpec
from evals.runs.summary import Summary, summarise
from graphs.masks import encode_rle

HOSTILE = "</style></script><script>document.title='hit'</script><img src=http://198.51.100.7/x onerror=hit()>{{ 7*7 }}"
SQUARE = [[20, 10], [59, 10], [59, 49], [20, 49]]
COUNT = 21


def write_data(data: Path) -> Path:
    """Pictures with a square each, every third with a long query that wants to be markup; number 8 cannot be read."""
    for number in range(COUNT):
        text = f"{HOSTILE} {'x' * 200}" if number % 3 == 0 else f"the square number {number}"
        path = reason_seg(data, "val", f"pic{number:02d}", [("target", SQUARE)], [text])
        plain = json.loads(path.read_text())
        path.write_text(json.dumps(plain | {"is_sentence": number % 3 == 0}))
    (data / "val" / "pic08.jpg").write_bytes(b"no picture")
    return data


def play(benchmark: Benchmark) -> list[Row]:
    """Answers that are shifted the more the later they come; 3 and 13 fail, and 8, whose picture is broken."""
    rows = []
    for number in range(len(benchmark)):
        row = {"index": number, "id": f"pic{number:02d}-0", "seconds": 1.0 + number, "turns": 2, "searches": number % 2}
        if number == 8:
            rows.append(benchmark.failed(Row(index=8, id="8", ending="not_run", error="media", message=HOSTILE)))
            continue
        sample = benchmark.dataset[number]
        truth = sample.masks(0)[0]
        row |= {"query": sample.query, "group": sample.group}
        if number in (3, 13):
            ending, error = ("policy_broken", "policy") if number == 3 else ("malformed", "malformed")
            said = ("What is asked for is " + HOSTILE,)
            scores = {"intersection": 0.0, "union": float(truth.sum()), "failed": 1.0}
            message = "it is down." if number == 3 else ""
            rows.append(Row(**row, ending=ending, error=error, message=message, said=said, scores=scores))
            continue
        mask = np.roll(truth, number, axis=1)
        overlap = count_overlap(mask, truth)
        scores = {"intersection": float(overlap.intersection), "union": float(overlap.union), "failed": 0.0}
        more = {"frame": 0, "cuts": (Cut("", encode_rle(mask)),), "said": ("first", f"last of {number} {HOSTILE}")}
        rows.append(Row(**row, **more, ending="found", score=overlap.iou(1.0), scores=scores))
    return rows


def spec_of(data: Path, **more) -> RunSpec:
    return RunSpec(benchmark="reason-seg", data=str(data), **more)


def sum_up(spec: RunSpec, benchmark: Benchmark, rows: list[Row]) -> Summary:
    finished = "2026-11-21T14:39:05+00:00"
    return summarise(benchmark, spec, rows, done=len(rows), wall=1.0, finished=finished, engine="local")


def write_run(folder: Path, data: Path, **more) -> tuple[Summary, list[Row]]:
    """Write what a finished run leaves behind, but for its table and its report."""
    spec = spec_of(data, **more)
    benchmark = open_benchmark(spec)
    rows = play(benchmark)
    summary = sum_up(spec, benchmark, rows)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"spec": spec.to_plain(), "samples": len(rows)}, *(row.to_plain() for row in rows)]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / SUMMARY).write_text(json.dumps(summary.to_plain()))
    return summary, rows
