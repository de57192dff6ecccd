"""A-847: the 2,000 validation pictures of ADE20K in full, with the 847 classes that MaskFormer chose."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.ade20k import read_ade20k_847
from evals.runs.spec import RunSpec


def open_a_847(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures."""
    return open_semantic(
        data, spec, read_ade20k_847, title="ADE20K val, 847 classes", ignored="pixels of none of the 847 classes"
    )
