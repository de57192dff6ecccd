"""Worst, median and best samples of a run, each with its picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evals.benchmarks.base import Benchmark, Row
from evals.report.pictures import draw_case, encode_webp
from graphs.masks import decode_rle
from tools.errors import EvaluationError, SegscoutError, boundary

_EACH = 6
_FIRST, _LAST = 220, 160
"""How many characters are shown of a long turn: its beginning, and its end, which has the answer."""


@dataclass(frozen=True)
class Case:
    """A row with its picture: an address that a page shows it by, or "" and why there is none.

    `true` says whether there is something to find in the frame shown, None if that is not known.
    """

    row: Row
    picture: str
    without: str = ""
    true: bool | None = None

    @property
    def last_words(self) -> str:
        """What the policy said in its last turn; of a long one the middle is left out."""
        said = self.row.said[-1] if self.row.said else ""
        return said if len(said) <= _FIRST + _LAST else f"{said[:_FIRST]} … {said[-_LAST:]}"


@dataclass(frozen=True)
class Choice:
    """Some cases, and what they were chosen by."""

    title: str
    rule: str
    cases: tuple[Case, ...]


def choose_cases(rows: Sequence[Row], benchmark: Benchmark | None) -> tuple[Choice, ...]:
    """Choose at most 18 rows, none twice, and load their pictures; without a benchmark there are none.

    Among equals a wrong answer is worse than none, since it can be looked at, and the best have a mask.
    """
    each = min(_EACH, math.ceil(len(rows) / 3))
    by_score = sorted(rows, key=lambda row: (row.score, bool(row.error), row.index))
    best = sorted(rows, key=lambda row: (not row.cuts, -row.score, row.index))
    middle = sorted(range(len(rows)), key=lambda place: (abs(2 * place - len(rows) + 1), place))
    taken: set[int] = set()

    def take(title: str, rule: str, some: Sequence[Row]) -> Choice:
        chosen = [row for row in some if row.index not in taken][:each]
        taken.update(row.index for row in chosen)
        return Choice(title, rule, tuple(_case(row, benchmark) for row in chosen))

    worst = take("Worst", "The lowest scores; among equals, wrong answers before missing ones.", by_score)
    top = take("Best", "The highest scores of answers with a mask, then of others.", best)
    median = take("Median", "In the middle of all scores.", [by_score[place] for place in middle])
    return tuple(choice for choice in (worst, median, top) if choice.cases)


def _case(row: Row, benchmark: Benchmark | None) -> Case:
    if benchmark is None:
        return Case(row, "")
    try:
        with boundary(EvaluationError, "there is no picture", remedy="Check the data set: it has changed since."):
            shown = benchmark.picture(row)
            if shown is None:
                return Case(row, "")
            answered = [decode_rle(cut.rle) for cut in row.cuts]
            picture = encode_webp(draw_case(shown.image, answered, shown.truth))
            return Case(row, picture, true=any(mask.any() for mask in shown.truth))
    except SegscoutError as error:
        return Case(row, "", without=str(error))
