"""Benchmarks: one file each, behind one protocol; `open_benchmark` knows them all by name."""

from collections.abc import Callable
from pathlib import Path

from evals.benchmarks.a_150 import open_a_150
from evals.benchmarks.a_847 import open_a_847
from evals.benchmarks.ade_panoptic import open_ade_panoptic
from evals.benchmarks.base import Benchmark
from evals.benchmarks.camouflaged_objects import TITLES as CAMOUFLAGED
from evals.benchmarks.camouflaged_objects import open_camouflaged_objects
from evals.benchmarks.camvid import open_camvid
from evals.benchmarks.emblems import open_emblems
from evals.benchmarks.emblems_semantic import open_emblems_semantic
from evals.benchmarks.evi_lens import open_evi_lens
from evals.benchmarks.grefcoco import open_grefcoco
from evals.benchmarks.ok_vos import open_ok_vos
from evals.benchmarks.options import check_options
from evals.benchmarks.pas_20 import open_pas_20
from evals.benchmarks.pc_59 import open_pc_59
from evals.benchmarks.pc_459 import open_pc_459
from evals.benchmarks.reason_seg import open_reason_seg
from evals.benchmarks.refcoco import TITLES as REFCOCO
from evals.benchmarks.refcoco import open_refcoco
from evals.benchmarks.salient_objects import TITLES as SALIENT
from evals.benchmarks.salient_objects import open_salient_objects
from evals.datasets.hub import find_data
from evals.runs.spec import RunSpec
from tools.errors import InputError

__all__ = ["ABOUT", "NAMES", "Benchmark", "open_benchmark"]

Opener = Callable[[Path, RunSpec], Benchmark]
"""DATA, what is run → the benchmark."""

_DRAWN: dict[str, Callable[[RunSpec], Benchmark]] = {
    "emblems": open_emblems,
    "emblems-semantic": open_emblems_semantic,
}
"""Drawn from a seed, without data."""
_OPENERS: dict[str, Opener] = {
    "ok-vos": open_ok_vos,
    "reason-seg": open_reason_seg,
    **dict.fromkeys(REFCOCO, open_refcoco),
    "grefcoco": open_grefcoco,
    **dict.fromkeys(SALIENT, open_salient_objects),
    **dict.fromkeys(CAMOUFLAGED, open_camouflaged_objects),
    "evi-lens": open_evi_lens,
    "a-150": open_a_150,
    "a-847": open_a_847,
    "pc-59": open_pc_59,
    "pc-459": open_pc_459,
    "pas-20": open_pas_20,
    "ade-panoptic": open_ade_panoptic,
    "camvid": open_camvid,
}
NAMES = (*_DRAWN, *_OPENERS)
"""Every benchmark that `open_benchmark` knows."""
ABOUT: dict[str, str] = {
    "emblems": "Clips of emblems drawn from a seed, what is asked for often to be looked up.",
    "emblems-semantic": "Frames of them, every pixel one of 320 emblems or background.",
    "ok-vos": "Videos whose target must be looked up first (Seg-ReSearch).",
    "reason-seg": "Pictures and questions that take reasoning (LISA).",
    **{name: f"{title}: one object a phrase." for name, title in REFCOCO.items()},
    "grefcoco": "gRefCOCO: one object a phrase, several, or none.",
    **{name: f"{title}: salient objects, asked for without words." for name, title in SALIENT.items()},
    **{name: f"{title}: camouflaged objects, asked for without words." for name, title in CAMOUFLAGED.items()},
    "evi-lens": "EviLens: what must be looked up, or looked for.",
    "a-150": "Open vocabulary: ADE20K, 150 classes.",
    "a-847": "Open vocabulary: ADE20K, 847 classes.",
    "pc-59": "Open vocabulary: PASCAL Context, 59 classes.",
    "pc-459": "Open vocabulary: PASCAL Context, 459 classes.",
    "pas-20": "Open vocabulary: PASCAL VOC 2012, 20 classes.",
    "ade-panoptic": "Open vocabulary: ADE20K, things one by one, stuff as a whole.",
    "camvid": "Open vocabulary: 101 street photographs, 11 classes.",
}
"""What each is, in a line."""


def open_benchmark(spec: RunSpec) -> Benchmark:
    """Open the benchmark that a spec names; no model is loaded yet.

    Raises InputError for an unknown name, split or number, for missing data, for a file that the layout lacks, and for
    options that the benchmark does not use.
    """
    benchmark = _open(spec)
    check_options(spec, benchmark)
    return benchmark


def _open(spec: RunSpec) -> Benchmark:
    if spec.benchmark in _DRAWN:
        return _DRAWN[spec.benchmark](spec)
    if spec.benchmark not in _OPENERS:
        raise InputError(f"there is no benchmark {spec.benchmark!r}.", remedy=f"Choose one of {', '.join(NAMES)}.")
    if spec.data is None:
        raise InputError(
            f"{spec.benchmark} is a data set on disk.", remedy="Give its folder, or its id on the hub, with --data."
        )
    return _OPENERS[spec.benchmark](find_data(spec.data, spec.benchmark), spec)
