"""A-150: the 2,000 validation pictures of ADE20K with the 150 classes of the scene parsing challenge."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.ade20k import read_ade20k_150
from evals.runs.spec import RunSpec


def open_a_150(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures."""
    return open_semantic(data, spec, read_ade20k_150, title="ADE20K val, 150 classes", ignored="pixels of no class")
