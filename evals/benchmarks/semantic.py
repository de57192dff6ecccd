"""What the benchmarks of labels at every pixel have in common."""

from pathlib import Path
from typing import Protocol

from evals.benchmarks.base import Benchmark
from evals.benchmarks.published_miou import published_miou
from evals.benchmarks.scorers.semantic import SemanticScorer
from evals.benchmarks.vocabulary import VocabularyBenchmark, check_split
from evals.benchmarks.ways import choose_ways
from evals.datasets.label_files import LabelFiles
from evals.runs.spec import RunSpec


class ReadLabels(Protocol):
    """Opens a data set, perhaps only its first `n` pictures, with the names in a file or its own."""

    def __call__(self, data: Path, n: int | None, *, classes: Path | None) -> LabelFiles:
        """Open it; InputError names what is missing."""
        ...


def open_semantic(data: Path, spec: RunSpec, read: ReadLabels, *, title: str, ignored: str) -> Benchmark:
    """Open the validation pictures; `ignored` says which pixels do not count."""
    check_split(spec, "val")
    dataset = read(data, spec.n, classes=None if spec.classes is None else Path(spec.classes))
    return VocabularyBenchmark(
        name=spec.benchmark,
        title=title,
        dataset=dataset,
        scorer=SemanticScorer(dataset.vocabulary, ignored),
        ways=choose_ways(spec),
        published=published_miou(spec.benchmark),
    )
