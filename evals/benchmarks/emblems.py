"""Emblems as a benchmark: clips and names drawn for a seed and never seen before (see `evals.emblems`)."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from evals.benchmarks.base import Measure, Picture, Published, Row, RunSample
from evals.benchmarks.episodes import open_context, told_by
from evals.emblems.benchmark import ContextOf, benchmark_search, benchmark_world, draw_nth_task, run_task
from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.names import Split, read_split
from evals.emblems.scoring import EpisodeRecord
from evals.emblems.tasks import ABILITIES, EmblemTask
from evals.metrics.intervals import bootstrap_mean, wilson
from evals.runs.spec import NO_SEARCH, RunSpec
from graphs.context import Context
from graphs.endings import Ending
from graphs.policies.replay import ReplayPolicy
from tools.errors import InputError

ORACLE = "oracle"
EXACT = "exact"
_N = 100


@dataclass(frozen=True)
class EmblemsBenchmark:
    """`n` tasks, the five abilities in turn; task i depends on (split, seed, i) alone."""

    split: Split
    seed: int
    n: int
    name: str = "emblems"
    published: Sequence[Published] = ()
    counts: str = (
        "Every clip counts. Success is an IoU above 0.5 on the keyframe, or “absent” where the target is absent; an "
        "episode without an answer and a wrong “absent” score 0 everywhere."
    )

    @property
    def title(self) -> str:
        """What a report calls it."""
        return f"Emblems {self.split}, seed {self.seed}"

    def __len__(self) -> int:
        return self.n

    async def prepare(self, spec: RunSpec) -> RunSample:
        """Load policy and segmenter; "oracle" and "exact" are each task's own."""
        oracle, exact = spec.policy == ORACLE, spec.segmenter == EXACT
        # What a task's own parts replace is loaded, too, so it must only be cheap.
        loaded = replace(spec, segmenter="grabcut" if exact else spec.segmenter)
        search = None if spec.search == NO_SEARCH else benchmark_search(self.split, self.seed)
        context = await open_context(loaded, search, policy=ReplayPolicy(()) if oracle else None)
        return partial(self._run, self._per_task(context, oracle, exact))

    def failed(self, row: Row) -> Row:
        """Return the row of a task that could not be run at all with the scores of a failure."""
        return replace(row, scores=dict.fromkeys(("success", "iou", "j_and_f", "present"), 0.0))

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute success of all tasks and of each ability, then how good the masks are where there is a target."""
        present = [row for row in rows if row.scores["present"]]
        measures = [_success(rows, "")]
        measures += [_success(some, a) for a in ABILITIES if (some := [row for row in rows if row.group == a])]
        for name, key in (("mIoU, target present", "iou"), ("J&F, target present", "j_and_f")):
            values = [row.scores[key] for row in present]
            if values:
                measures.append(Measure(name, float(np.mean(values)), len(values), bootstrap_mean(values)))
        return measures

    def picture(self, row: Row) -> Picture:
        """Draw the frame that was answered on, else the first, and the true mask there."""
        task = self.task(row.index)
        frame = row.frame or 0
        truth = () if task.target is None else (task.clip.mask(frame, task.target),)
        return Picture(task.clip[frame], truth)

    def task(self, index: int) -> EmblemTask:
        """Draw a task."""
        return draw_nth_task(self.split, self.seed, index)

    async def _run(self, own: Context | ContextOf, index: int) -> Row:
        record, result = await run_task(self.task(index), own)
        scores = {
            "success": float(record.success), "iou": record.iou, "j_and_f": record.j_and_f,
            "present": float(record.present),
        }  # fmt: skip
        row = Row(index=index, id=record.task_id, query=record.query, group=record.ability, score=record.iou)
        return replace(
            told_by(result, row), scores=scores, seconds=record.seconds, details=json.loads(json.dumps(asdict(record)))
        )

    def _per_task(self, context: Context, oracle: bool, exact: bool) -> Context | ContextOf:
        if not oracle and not exact:
            return context

        def own(task: EmblemTask) -> Context:
            changed = context
            if oracle:
                frames, search = context.dialect.view.frames, context.search is not None
                world = benchmark_world(self.split, self.seed)
                changed = replace(changed, policy=oracle_policy(task, world, frames=frames, search=search))
            return replace(changed, segmenter=ExactSegmenter(task.clip)) if exact else changed

        return own


def open_emblems(spec: RunSpec) -> EmblemsBenchmark:
    """Open a split, "test" unless said, 100 tasks unless said; InputError for a bad split, seed or number."""
    n = _N if spec.n is None else spec.n
    if n < 1:
        raise InputError(f"{n} tasks cannot be evaluated.", remedy="Ask for at least 1.")
    split = read_split(spec.split or "test")
    benchmark_world(split, spec.seed)
    return EmblemsBenchmark(split, spec.seed, n)


def _success(rows: Sequence[Row], group: str) -> Measure:
    right = sum(row.scores["success"] > 0 for row in rows)
    return Measure("success", right / len(rows), len(rows), wilson(right, len(rows)), group)


def record_of(row: Row) -> EpisodeRecord:
    """Return the record that a row was made of."""
    plain: dict[str, Any] = dict(row.details)
    return EpisodeRecord(**plain | {"ending": Ending(plain["ending"])})
