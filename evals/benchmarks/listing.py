"""How well reasoning lists the classes of a picture: a class that it misses cannot be found where gating is hard."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.benchmarks.base import Measure, Row
from evals.metrics.intervals import bootstrap_sums
from graphs.openvocab import OpenVocabularyContext, OpenVocabularyResult


def tell_listing(
    places: Collection[int], context: OpenVocabularyContext, result: OpenVocabularyResult | None = None
) -> dict[str, Any]:
    """Return what reasoning said (None: nothing) where the classes at `places` are true; what is certain is left out.

    `listing` counts the classes that it listed rightly, those in the truth, and those that it listed. Empty without a
    policy.
    """
    if context.policy is None:
        return {}
    classes, certain = context.vocabulary.classes, context.settings.certain
    true, found = (
        {place for place in some if classes[place].name not in certain}
        for some in (places, result.found if result else ())
    )
    unaligned = list(result.unaligned) if result else []
    return {
        "listing": [len(true & found), len(true), len(found) + len(unaligned)],
        "present": sorted(classes[place].name for place in found),
        "unaligned": unaligned,
    }


def measure_listing(rows: Sequence[Row]) -> list[Measure]:
    """Compute recall and precision over all classes of all pictures; nothing if there was none."""
    listings = np.array([row.details["listing"] for row in rows if "listing" in row.details], np.float64)
    if not listings.size:
        return []
    return [_share("listing recall", listings[:, [0, 1]]), _share("listing precision", listings[:, [0, 2]])]


def _share(name: str, pairs: NDArray[np.float64]) -> Measure:
    right, of = pairs.sum(axis=0)
    if not of:
        return Measure(name, 0.0, len(pairs))
    return Measure(name, float(right / of), len(pairs), bootstrap_sums(pairs, _shares))


def _shares(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(sums), np.nan)
    return np.asarray(np.divide(sums[:, 0], sums[:, 1], out=out, where=sums[:, 1] > 0), np.float64)
