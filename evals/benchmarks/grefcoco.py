"""gRefCOCO (GRES, CVPR 2023): phrases for one object, several, or none."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.generalized import GeneralizedScorer
from evals.datasets.base import Dataset
from evals.datasets.parquet import holds_parquet
from evals.datasets.refcoco import RefCOCO
from evals.datasets.seg_zero import SegZeroSet
from evals.runs.spec import RunSpec


def open_grefcoco(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split, "val" unless said, in the refer API's layout or as the parquet of grefcoco_val_all."""
    split, parquet = spec.split or "val", holds_parquet(data)
    dataset: Dataset = SegZeroSet("grefcoco", data, spec.n) if parquet else RefCOCO("grefcoco", data, split, spec.n)
    return EpisodeBenchmark(
        name="grefcoco", title=f"gRefCOCO {split}", dataset=dataset, scorer=GeneralizedScorer(), published=()
    )
