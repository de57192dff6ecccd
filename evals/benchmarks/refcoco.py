"""RefCOCO, RefCOCO+ and RefCOCOg: one object a phrase, in the layout of the refer API or as Seg-Zero published them."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.referring import ReferringScorer
from evals.benchmarks.seg_zero_names import Kept, told_by_name
from evals.datasets.base import Dataset
from evals.datasets.parquet import holds_parquet
from evals.datasets.refcoco import RefCOCO
from evals.datasets.seg_zero import SegZeroSet
from evals.runs.spec import RunSpec

TITLES = {"refcoco": "RefCOCO", "refcoco+": "RefCOCO+", "refcocog": "RefCOCOg"}
"""Benchmark → what it is called."""

_LISA = ("LISA-7B", "cIoU", "arXiv 2308.00692", "every expression; trained on these data")
_SEG_R1_3B = ("Seg-R1-3B", "cIoU", "arXiv 2506.22624", "one expression a picture, drawn at random")
_SEG_R1_7B = ("Seg-R1-7B", *_SEG_R1_3B[1:])
_SEG_ZERO = (
    "Seg-Zero-7B", "cIoU", "arXiv 2503.06520",
    "one expression an object; best of several checkpoints; others measure 0.792 on RefCOCO and 0.739 on RefCOCO+",
)  # fmt: skip
_REASONER = ("VisionReasoner-7B", "gIoU", "arXiv 2505.12081", "one expression an object; every one adds about a point")
_QWEN = ("Qwen2.5-VL-7B + SAM 2", "gIoU", "arXiv 2505.12081", "one expression an object; as VisionReasoner ran it")
_VALUES = {
    "refcoco": {
        "val": {_LISA: 0.741, _SEG_R1_3B: 0.699, _SEG_R1_7B: 0.743},
        "testA": {
            _LISA: 0.765, _SEG_R1_3B: 0.760, _SEG_R1_7B: 0.787, _SEG_ZERO: 0.803, _REASONER: 0.789, _QWEN: 0.799,
        },
        "testB": {_LISA: 0.711, _SEG_R1_3B: 0.649, _SEG_R1_7B: 0.676},
    },
    "refcoco+": {
        "val": {_LISA: 0.624, _SEG_R1_3B: 0.591, _SEG_R1_7B: 0.626},
        "testA": {
            _LISA: 0.675, _SEG_R1_3B: 0.668, _SEG_R1_7B: 0.709, _SEG_ZERO: 0.762, _REASONER: 0.749, _QWEN: 0.768,
        },
        "testB": {_LISA: 0.565, _SEG_R1_3B: 0.509, _SEG_R1_7B: 0.579},
    },
    "refcocog": {
        "val": {_LISA: 0.664, _SEG_R1_3B: 0.673, _SEG_R1_7B: 0.710},
        "test": {
            _LISA: 0.685, _SEG_R1_3B: 0.679, _SEG_R1_7B: 0.714, _SEG_ZERO: 0.726, _REASONER: 0.713, _QWEN: 0.728,
        },
    },
}  # fmt: skip
"""Benchmark → split → (system, measure, source, caveat) → value."""


def open_refcoco(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split of the one that the spec names, "val" unless said or told by the name of the parquet."""
    name, parquet = spec.benchmark, holds_parquet(data)
    kept = told_by_name(spec) if parquet else Kept(spec.split or "val", ", every expression")
    dataset: Dataset = SegZeroSet(name, data, spec.n) if parquet else RefCOCO(name, data, kept.split, spec.n)
    return EpisodeBenchmark(
        name=name,
        title=f"{TITLES[name]} {kept.split}{kept.unit}",
        dataset=dataset,
        scorer=ReferringScorer(),
        published=[
            Published(system, kept.split, measure, value, source, caveat)
            for (system, measure, source, caveat), value in _VALUES[name].get(kept.split, {}).items()
        ],
    )
