"""What every scorer of labelled pictures does."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from evals.benchmarks.base import Cut, Measure, Row
from graphs.openvocab.fusion import Maps
from tools.segmenters.base import Mask

Scored = TypeVar("Scored", contravariant=True)
"""How the truth is written."""


class VocabularyScorer(Protocol[Scored]):
    """Compare maps with the truth, and make measures of what that gives."""

    @property
    def counts(self) -> str:
        """How failures and ignored pixels count."""
        ...

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a picture that could not be labelled; the first is what rows are sorted by."""
        ...

    def score(self, truth: Scored, ways: Mapping[str, Maps]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """Return the scores of the first way, and the details from which `measure` sums up all of them."""
        ...

    def finish(self, maps: Maps) -> Maps:
        """Return the maps of a run as they are scored."""
        ...

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure of at least one row; the first one leads."""
        ...

    def cuts(self, maps: Maps) -> tuple[Cut, ...]:
        """Return the largest masks of maps, with their classes."""
        ...

    def masks(self, truth: Scored) -> tuple[Mask, ...]:
        """Return the largest true masks."""
        ...

    def places(self, truth: Scored) -> frozenset[int]:
        """Return the places of the classes in a truth."""
        ...
