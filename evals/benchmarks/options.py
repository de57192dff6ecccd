"""Which options mean something to which benchmark: one that is ignored would stand in the report as if it was used."""

from dataclasses import fields

from evals.benchmarks.base import Benchmark
from evals.benchmarks.vocabulary import VocabularyBenchmark
from evals.runs.spec import NO_SEARCH, RunSpec
from tools.errors import InputError

_AGENTS = frozenset({"profile", "search", "kb", "search_cache"})
"""Of benchmarks that the agent plays, alone."""
_VOCABULARYS = frozenset({"reasoning", "boxes", "clip", "classes", "embedder"})
"""Of benchmarks that label every pixel, alone."""
_SWITCHES = {"reasoning": "--no-reasoning"}


def check_options(spec: RunSpec, benchmark: Benchmark) -> None:
    """Raise InputError for an option that the benchmark does not use."""
    labels = isinstance(benchmark, VocabularyBenchmark)
    unused = _AGENTS if labels else _VOCABULARYS
    asked = [field.name for field in fields(spec) if getattr(spec, field.name) != field.default]
    if labels and spec.search == NO_SEARCH:
        asked.remove("search")  # which is what happens
    if said := [_SWITCHES.get(name, f"--{name.replace('_', '-')}") for name in asked if name in unused]:
        why = "labels pictures without searching, and asks in JSON" if labels else "is played by the agent"
        raise InputError(f"{spec.benchmark} {why}: it has no use for {', '.join(said)}.", remedy="Leave it out.")
