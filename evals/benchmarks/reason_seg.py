"""ReasonSeg (LISA, CVPR 2024): val has 200 pictures, test 779, in the official layout or as Seg-Zero published it."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.referring import ReferringScorer
from evals.benchmarks.seg_zero_names import Kept, told_by_name
from evals.datasets.base import Dataset
from evals.datasets.parquet import holds_parquet
from evals.datasets.reason_seg import ReasonSeg
from evals.datasets.seg_zero import SegZeroSet
from evals.runs.spec import RunSpec

_BEST = "best of several checkpoints for this benchmark"
_PUBLISHED = (
    Published("Seg-Zero-7B", "val", "gIoU", 0.626, "arXiv 2503.06520", _BEST),
    Published("Seg-Zero-7B", "val", "cIoU", 0.620, "arXiv 2503.06520", _BEST),
    Published("Seg-Zero-7B", "test", "gIoU", 0.575, "arXiv 2503.06520", f"{_BEST}; others measure 0.543"),
    Published("Seg-Zero-7B", "test", "cIoU", 0.520, "arXiv 2503.06520", _BEST),
    Published("VisionReasoner-7B", "val", "gIoU", 0.663, "arXiv 2505.12081", "one point of noise between checkpoints"),
    Published("VisionReasoner-7B", "test", "gIoU", 0.636, "arXiv 2505.12081", "others measure 0.623"),
    Published("Qwen2.5-VL-7B + SAM 2", "val", "gIoU", 0.569, "arXiv 2505.12081"),
    Published("Qwen2.5-VL-7B + SAM 2", "test", "gIoU", 0.521, "arXiv 2505.12081"),
    Published("Seg-R1-7B", "test", "gIoU", 0.567, "arXiv 2506.22624", "ignored regions count as background"),
)


def open_reason_seg(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split, "val" unless said or told by the name of the parquet; with LISA's 1 for two empty masks."""
    parquet = holds_parquet(data)
    kept = told_by_name(spec) if parquet else Kept(spec.split or "val", "")
    dataset: Dataset
    dataset = SegZeroSet("reason-seg", data, spec.n) if parquet else ReasonSeg(data, kept.split, spec.n)
    return EpisodeBenchmark(
        name="reason-seg",
        title=f"ReasonSeg {kept.split}{kept.unit}",
        dataset=dataset,
        scorer=ReferringScorer(),
        published=[one for one in _PUBLISHED if one.split == kept.split],
    )
