"""Salient objects: DUT-OMRON, DUTS-TE, HKU-IS and ECSSD, which are asked for without words, as Seg-R1 does."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.episodes import EpisodeBenchmark
from evals.benchmarks.scorers.saliency import SaliencyScorer
from evals.datasets.image_masks import ImageMasks
from evals.runs.spec import RunSpec
from tools.errors import InputError

TITLES = {"dut-omron": "DUT-OMRON", "duts-te": "DUTS-TE", "hku-is": "HKU-IS", "ecssd": "ECSSD"}
"""Benchmark → what it is called; a test set each."""
_SEG_R1 = "arXiv 2506.22624"
_CAVEAT = "edges grey from resizing; what cannot be read is scored as the answer to the picture before"
_VARIANT = "which variant is not said"
_SYSTEMS = {
    "FOCUS": "trained on masks of the same kind",
    "Grounded SAM 2": "as measured by Seg-R1",
    "Seg-R1-3B": _CAVEAT,
    "Seg-R1-3B, tuned on DUTS-TR": _CAVEAT,
    "Seg-R1-7B, tuned on DUTS-TR": _CAVEAT,
}
_VALUES = {
    "dut-omron": (
        (0.868, 0.836, 0.900, 0.045), (0.708, 0.590, 0.744, 0.102), (0.852, 0.821, 0.890, 0.045),
        (0.868, 0.839, 0.906, 0.047), (0.878, 0.850, 0.911, 0.045),
    ),
    "duts-te": (
        (0.929, 0.928, 0.965, 0.019), (0.800, 0.748, 0.833, 0.078), (0.866, 0.863, 0.899, 0.045),
        (0.909, 0.914, 0.942, 0.031), (0.925, 0.922, 0.953, 0.025),
    ),
    "hku-is": (
        (0.935, 0.942, 0.974, 0.018), (0.825, 0.842, 0.864, 0.069), (0.772, 0.814, 0.809, 0.078),
        (0.890, 0.914, 0.925, 0.041), (0.935, 0.950, 0.966, 0.022),
    ),
    "ecssd": (
        (0.943, 0.954, 0.971, 0.018), (0.845, 0.849, 0.871, 0.078), (0.882, 0.908, 0.903, 0.050),
        (0.916, 0.939, 0.940, 0.036), (0.939, 0.956, 0.962, 0.025),
    ),
}  # fmt: skip
"""Benchmark → S, F, E and MAE of each system, as Seg-R1's paper has them."""


def open_salient_objects(data: Path, spec: RunSpec) -> Benchmark:
    """Open the one that the spec names; InputError for a split other than "test"."""
    name = spec.benchmark
    if spec.split not in ("", "test"):
        raise InputError(f"{TITLES[name]} has no split {spec.split!r}.", remedy="Leave --split out: it is a test set.")
    return EpisodeBenchmark(
        name=name,
        title=TITLES[name],
        dataset=ImageMasks("duts" if name == "duts-te" else name, data, "test", spec.n),
        scorer=SaliencyScorer(),
        published=[
            Published(system, "test", measure, value, _SEG_R1, f"{caveat}; {_VARIANT}" if measure in "EF" else caveat)
            for (system, caveat), values in zip(_SYSTEMS.items(), _VALUES[name], strict=True)
            for measure, value in zip(("S", "F", "E", "MAE"), values, strict=True)
        ],
    )
