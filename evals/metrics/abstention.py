"""Abstention: how often an agent says that what is asked for is absent, where it is and where it is not.

Recall is what gRefCOCO calls N-acc (of the empty truths, how many were answered with nothing), one minus the false
share its T-acc.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from evals.metrics.intervals import Interval, wilson


@dataclass(frozen=True)
class AbstentionScore:
    """Counts of answers, and shares 0 to 1 with Wilson's 95 % intervals; a share of nothing is None.

    precision: of all answers "absent", those that are right; recall: of all absent objects, those said to be absent;
    false_share: of all present objects, those said to be absent.
    """

    absent: int
    present: int
    said_rightly: int
    said_wrongly: int

    @property
    def precision(self) -> float | None:
        """Return the share of right ones among the answers "absent"."""
        return _share(self.said_rightly, self.said_rightly + self.said_wrongly)

    @property
    def precision_ci95(self) -> Interval:
        """Return Wilson's interval of the precision."""
        return wilson(self.said_rightly, self.said_rightly + self.said_wrongly)

    @property
    def recall(self) -> float | None:
        """Return the share of absent objects said to be so."""
        return _share(self.said_rightly, self.absent)

    @property
    def recall_ci95(self) -> Interval:
        """Return Wilson's interval of the recall."""
        return wilson(self.said_rightly, self.absent)

    @property
    def false_share(self) -> float | None:
        """Return the share of present objects said to be absent."""
        return _share(self.said_wrongly, self.present)

    @property
    def false_share_ci95(self) -> Interval:
        """Return Wilson's interval of the false share."""
        return wilson(self.said_wrongly, self.present)


def score_abstention(answers: Iterable[tuple[bool, bool]]) -> AbstentionScore:
    """Score (said to be absent, is absent), one pair a sample; a failure says nothing, so its first is False."""
    pairs = list(answers)
    absent = sum(is_absent for _, is_absent in pairs)
    said_rightly = sum(said and is_absent for said, is_absent in pairs)
    said_wrongly = sum(said and not is_absent for said, is_absent in pairs)
    return AbstentionScore(absent, len(pairs) - absent, said_rightly, said_wrongly)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
