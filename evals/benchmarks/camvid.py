"""CamVid: 101 street photographs with 11 classes, small enough to try settings on."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.semantic import open_semantic
from evals.datasets.camvid import read_camvid
from evals.runs.spec import RunSpec


def open_camvid(data: Path, spec: RunSpec) -> Benchmark:
    """Open the photographs."""
    return open_semantic(data, spec, read_camvid, title="CamVid, 11 classes", ignored="unlabelled pixels")
