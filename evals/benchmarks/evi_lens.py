"""EviLens (EviRover): what must be looked up (recognition) or looked for (localization); as masks, and as boxes."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.boxes import BoxScorer
from evals.benchmarks.scorers.referring import ReferringScorer
from evals.datasets.evi_lens import FILES, EviLens
from evals.runs.spec import RunSpec
from tools.errors import InputError

_SOURCE = "arXiv 2609.40230, results_baseline of kxfan2002/evirover"
_CAVEAT = "ten tools, web search among them, up to 35 calls; temperature 0.7"
_MEASURES = {"segmentation": ("gIoU", "cIoU"), "recognition": ("IoU", "R@0.5"), "localization": ("IoU", "R@0.5")}
_VALUES = {
    "EviRover (4B)": {"segmentation": (0.686, 0.708), "recognition": (0.648, 0.687), "localization": (0.444, 0.500)},
    "OneThinker-8B": {"segmentation": (0.409, 0.387), "recognition": (0.353, 0.357), "localization": (0.110, 0.086)},
    "Qwen3-VL-4B-Instruct": {
        "segmentation": (0.203, 0.279), "recognition": (0.265, 0.231), "localization": (0.276, 0.251),
    },
    "InternVL-3.5-8B": {"segmentation": (0.081, 0.081), "recognition": (0.093, 0.033), "localization": (0.020, 0.007)},
}  # fmt: skip
"""System → split → value of each measure."""


def open_evi_lens(data: Path, spec: RunSpec) -> Benchmark:
    """Open a split, "segmentation" unless said; InputError for one that cannot be scored here."""
    split = spec.split or "segmentation"
    if split not in FILES:
        raise InputError(f"EviLens {split!r} cannot be scored here.", remedy=f"Choose one of {', '.join(FILES)}.")
    masks = split == "segmentation"
    return EpisodeBenchmark(
        name="evi-lens",
        title=f"EviLens {split}",
        dataset=EviLens(data, split, spec.n),
        scorer=ReferringScorer() if masks else BoxScorer(),
        published=[
            Published(system, split, measure, value, _SOURCE, f"{_CAVEAT}; boxes cut by SAM 3" if masks else _CAVEAT)
            for system, values in _VALUES.items()
            for measure, value in zip(_MEASURES[split], values[split], strict=True)
        ],
    )
