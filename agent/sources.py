"""Who says so, as people are told: each source once, numbered from 1, those that the answer cites before the others."""

from collections.abc import Iterable

from agent.result import Instance, Result
from graphs.episode import Evidence
from graphs.events import FoundHit

_UNCITED = 12
"""So many sources are told at least, if there are so many; cited ones are always told."""


def told_sources(result: Result) -> list[FoundHit]:
    """Return the sources that are told, in the order of their numbers."""
    cited = _each_once(one for instance in result.instances for one in instance.evidence)
    every = dict.fromkeys([*cited, *_each_once(result.evidence)])
    return list(every)[: max(_UNCITED, len(cited))]


def source_numbers(result: Result, instance: Instance) -> list[int]:
    """Return the numbers of the sources that an object rests on; none where nothing is cited."""
    told = told_sources(result)
    return sorted(told.index(one) + 1 for one in _each_once(instance.evidence))


def _each_once(evidence: Iterable[Evidence]) -> list[FoundHit]:
    return list(dict.fromkeys(FoundHit(one.title, one.source, one.snippet) for one in evidence))
