"""EviLens (EviRover): 195 pictures whose target must be looked up, as masks; its other tasks ask for no mask."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.referring import ReferringScorer
from evals.datasets.evi_lens import EviLensMasks
from evals.runs.spec import RunSpec
from tools.errors import InputError

_SPLIT = "segmentation"
_SOURCE = "arXiv 2609.40230, results_baseline of kxfan2002/evirover"
_CAVEAT = "ten tools, web search among them, up to 35 calls; box and points to mask by SAM 3, temperature 0.7"
_VALUES = {
    "EviRover (4B)": (0.686, 0.708),
    "OneThinker-8B": (0.409, 0.387),
    "Qwen3-VL-4B-Instruct": (0.203, 0.279),
    "InternVL-3.5-8B": (0.081, 0.081),
}
"""System → gIoU and cIoU."""


def open_evi_lens(data: Path, spec: RunSpec) -> Benchmark:
    """Open the questions that ask for a mask; InputError for another split."""
    if spec.split not in ("", _SPLIT):
        raise InputError(
            f"EviLens {spec.split!r} cannot be scored here.", remedy=f"Leave --split out: {_SPLIT} alone has masks."
        )
    return EpisodeBenchmark(
        name="evi-lens",
        title=f"EviLens {_SPLIT}",
        dataset=EviLensMasks(data, spec.n),
        scorer=ReferringScorer(),
        published=[
            Published(system, _SPLIT, measure, value, _SOURCE, _CAVEAT)
            for system, values in _VALUES.items()
            for measure, value in zip(("gIoU", "cIoU"), values, strict=True)
        ],
    )
