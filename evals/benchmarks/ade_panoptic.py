"""Panoptic ADE20K: its 2,000 validation pictures, things one by one and stuff as a whole."""

from pathlib import Path

from evals.benchmarks.base import Benchmark, Published
from evals.benchmarks.scorers.panoptic import PanopticScorer
from evals.benchmarks.vocabulary import VocabularyBenchmark, check_split
from evals.benchmarks.ways import choose_ways
from evals.datasets.ade20k_panoptic import AdePanoptic
from evals.runs.spec import RunSpec
from tools.errors import InputError

_CAVEAT = (
    "trained on COCO's panoptic truth, and with synonyms chosen by hand; COCO's evaluator takes the areas of stuff "
    "from before things were laid over it"
)
_PUBLISHED = tuple(
    Published("MAFT+ (L)", "val", measure, value, "its README", _CAVEAT)
    for measure, value in (("PQ", 0.271), ("SQ", 0.735), ("RQ", 0.329))
)


def open_ade_panoptic(data: Path, spec: RunSpec) -> Benchmark:
    """Open the validation pictures; their classes are in the JSON file."""
    check_split(spec, "val")
    if spec.classes is not None:
        raise InputError("the classes of ade-panoptic are in its JSON file.", remedy="Leave out --classes.")
    dataset = AdePanoptic(data, spec.n)
    return VocabularyBenchmark(
        name="ade-panoptic",
        title="ADE20K val, panoptic",
        dataset=dataset,
        scorer=PanopticScorer(dataset.vocabulary),
        ways=choose_ways(spec),
        published=_PUBLISHED,
    )
