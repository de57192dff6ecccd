"""gRefCOCO (GRES, CVPR 2023): phrases for one object, several, or none."""

from pathlib import Path

from evals.benchmarks.base import Benchmark
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.generalized import GeneralizedScorer
from evals.benchmarks.seg_zero_names import Kept, told_by_name
from evals.datasets.base import Dataset
from evals.datasets.parquet import holds_parquet
from evals.datasets.refcoco import RefCOCO
from evals.datasets.seg_zero import SegZeroSet
from evals.runs.spec import RunSpec


def open_grefcoco(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split, "val" unless said, in the refer API's layout or as the parquet of grefcoco_val_all."""
    parquet = holds_parquet(data)
    kept = told_by_name(spec) if parquet else Kept(spec.split or "val", "")
    dataset: Dataset
    dataset = SegZeroSet("grefcoco", data, spec.n) if parquet else RefCOCO("grefcoco", data, kept.split, spec.n)
    return EpisodeBenchmark(
        name="grefcoco",
        title=f"gRefCOCO {kept.split}{kept.unit}",
        dataset=dataset,
        scorer=GeneralizedScorer(),
        published=(),
    )
