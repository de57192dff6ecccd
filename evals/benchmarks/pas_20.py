"""PAS-20: the 1,449 validation pictures of PASCAL VOC 2012 with its 20 classes; the background does not count."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.voc import read_voc_20
from evals.runs.spec import RunSpec


def open_pas_20(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures."""
    return open_semantic(
        data,
        spec,
        read_voc_20,
        title="PASCAL VOC 2012 val, 20 classes",
        ignored="the background, and the border around objects",
    )
