"""What a run came to, in one object: what the terminal, the report and summary.json tell."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from evals.benchmarks.base import Benchmark, Measure, Published, Row
from evals.runs.spec import RunSpec
from evals.runs.versions import versions


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run came to: measures over `n` samples, `done` of them in this process and the others before.

    `finished` is when its last row came, UTC in ISO 8601.
    """

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
    finished: str
    engine: str
    versions: dict[str, str]

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "spec": self.spec.to_plain()}


def summary_from_plain(plain: Mapping[str, Any]) -> Summary:
    """Return the summary that `to_plain` wrote; TypeError or KeyError for anything else."""
    return Summary(
        **{
            **plain,
            "spec": RunSpec(**plain["spec"]),
            "measures": [_measure_from_plain(measure) for measure in plain["measures"]],
            "published": [Published(**one) for one in plain["published"]],
        }
    )


def summarise(
    benchmark: Benchmark, spec: RunSpec, rows: Sequence[Row], *, done: int, wall: float, finished: str, engine: str
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
        finished=finished,
        engine=engine,
        versions=versions(),
    )


def _measure_from_plain(plain: Mapping[str, Any]) -> Measure:
    interval = plain["ci95"]
    return Measure(**{**plain, "ci95": None if interval is None else (interval[0], interval[1])})
