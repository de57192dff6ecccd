"""Which split a parquet of Seg-Zero's authors holds: its published name alone tells, for all of them call it "test"."""

import re
from dataclasses import dataclass
from pathlib import Path

from evals.runs.spec import RunSpec
from tools.errors import InputError

_NAME = re.compile(r"(?P<set>ReasonSeg|g?refcoco(?:plus|g)?)_(?P<split>val|testA|testB|test)(?P<all>_all)?")
_BENCHMARKS = {"ReasonSeg": "reason-seg", "refcocoplus": "refcoco+"}
"""Name in a file → benchmark, where that is another one."""


@dataclass(frozen=True)
class Kept:
    """What data hold: which split, and what of it there is, or how that is known, to stand after it in a title."""

    split: str
    unit: str


def told_by_name(spec: RunSpec) -> Kept:
    """Return what the parquet that a spec names holds; what is asked for ("val" unless said) if the name does not tell.

    InputError if that is another data set or split than the spec's.
    """
    last = Path(spec.data or "").name.removesuffix(".parquet")
    match = _NAME.fullmatch(last)
    if match is None:
        return Kept(spec.split or "val", " (by --split alone: the file does not say)")
    name, split = _BENCHMARKS.get(match["set"], match["set"]), match["split"]
    if name != spec.benchmark or spec.split not in ("", split):
        asked = f"{spec.benchmark} {spec.split}".rstrip()
        raise InputError(f"{last} is {name} {split}, not {asked}.", remedy="Give other data, or leave --split out.")
    if name == "reason-seg":
        return Kept(split, ", regions to be ignored perhaps among the true ones")
    return Kept(split, ", every expression" if match["all"] else ", one expression an object")
