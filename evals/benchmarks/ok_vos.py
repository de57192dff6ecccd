"""OK-VOS (Seg-ReSearch): videos whose target must be looked up first; J, F and J&F by ability."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.clips import ClipScorer
from evals.datasets.ok_vos import OKVOS
from evals.runs.spec import RunSpec

_PUBLISHED = (
    Published(
        "Seg-ReSearch",
        "test",
        "J&F",
        0.602,
        "arXiv 2602.04454, second-hand",
        "of which size is not said; its script leaves out clips without a prediction, and counts any non-zero pixel of "
        "a mask as target",
    ),
)


def open_ok_vos(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split, "test" unless said."""
    split = spec.split or "test"
    return EpisodeBenchmark(
        name="ok-vos",
        title=f"OK-VOS {split}",
        dataset=OKVOS(data, split, spec.n),
        scorer=ClipScorer(),
        published=[one for one in _PUBLISHED if one.split == split],
    )
