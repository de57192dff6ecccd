"""Camouflaged objects: COD10K, CAMO, CHAMELEON and NC4K, which are asked for without words, as Seg-R1 does."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.saliency import SaliencyScorer
from evals.datasets.image_masks import ImageMasks
from evals.runs.spec import RunSpec

TITLES = {"cod10k": "COD10K", "camo": "CAMO", "chameleon": "CHAMELEON", "nc4k": "NC4K"}
"""Benchmark → what it is called."""
_NOTES = {"cod10k": "Pictures without a camouflaged object (NonCAM) are left out, as in published evaluations."}
_PUBLISHED = {
    "cod10k": [
        Published(
            "Seg-R1", "test", "S", 0.873, "arXiv 2506.22624",
            "of which size is not said; edges grey from resizing; what cannot be read is scored as the answer before",
        )
    ]
}  # fmt: skip


def open_camouflaged_objects(data: Path, spec: RunSpec) -> Benchmark:
    """Open the one that the spec names; its split is "test" unless said (COD10K and CAMO have a "train", too)."""
    name, split = spec.benchmark, spec.split or "test"
    return EpisodeBenchmark(
        name=name,
        title=f"{TITLES[name]} {split}",
        dataset=ImageMasks(name, data, split, spec.n),
        scorer=SaliencyScorer(_NOTES.get(name, "")),
        published=[one for one in _PUBLISHED.get(name, []) if one.split == split],
    )
