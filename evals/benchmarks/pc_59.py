"""PC-59: the validation pictures of PASCAL Context (about 5,105) with the 59 most frequent classes."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.pascal_context import read_context_59
from evals.runs.spec import RunSpec


def open_pc_59(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures."""
    return open_semantic(
        data,
        spec,
        read_context_59,
        title="PASCAL Context val, 59 classes",
        ignored="the background: pixels of none of the 59 classes",
    )
