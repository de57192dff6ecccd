"""PC-459: the validation pictures of PASCAL Context (about 5,105) with all 459 classes."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.pascal_context import read_context_459
from evals.runs.spec import RunSpec


def open_pc_459(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures."""
    return open_semantic(
        data, spec, read_context_459, title="PASCAL Context val, 459 classes", ignored="unlabelled pixels"
    )
