"""Where marks stand in the report's pictures: a common axis for values with intervals, and a histogram of scores.

Positions are percentages of the width, so that a picture is as wide as the screen and its text keeps its size.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evals.benchmarks.base import Row
from evals.report.comparison import Cell, Column, Comparison, Line

_BINS = 10


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, tenths."""

    low: int
    high: int

    def at(self, value: float) -> float:
        """Return where a value stands, in percent of the width."""
        return round(100 * (10 * value - self.low) / (self.high - self.low), 2)

    @property
    def ticks(self) -> list[float]:
        """Values to be written below."""
        return [tenth / 10 for tenth in range(self.low, self.high + 1, 1 if self.high - self.low <= 5 else 2)]


@dataclass(frozen=True)
class Strip:
    """One value of a measure on the axis, with the line that it is of."""

    line: Line
    cell: Cell


@dataclass(frozen=True)
class Intervals:
    """The strips of each measure, the leading one with all groups, on one axis."""

    axis: Axis
    measures: tuple[tuple[Column, tuple[Strip, ...]], ...]


def draw_intervals(comparison: Comparison) -> Intervals:
    """Lay out all measures over all samples, the groups of the first one, and what others published.

    A measure that is undefined (NaN) has no place on an axis.
    """
    measures = []
    for place, column in enumerate(comparison.columns):
        wanted = [line for line in comparison.lines if place == 0 or not line.ours or not line.label]
        cells = [(line, line.cells[place]) for line in wanted]
        strips = tuple(Strip(line, cell) for line, cell in cells if cell is not None and math.isfinite(cell.value))
        measures += [(column, strips)] if strips else []
    drawn = [strip.cell for _, strips in measures for strip in strips]
    values = [value for cell in drawn for value in (cell.value, *(cell.ci95 or ()))]
    return Intervals(_axis_over(values), tuple(measures))


@dataclass(frozen=True)
class Bar:
    """How many scores lie between `low` and `high`: of answers, and of samples without one. Heights are percentages."""

    low: float
    high: float
    answered: int
    failed: int
    answered_height: float
    failed_height: float


def draw_histogram(rows: Sequence[Row]) -> tuple[Bar, ...]:
    """Count scores in ten bins; 1 belongs to the last."""
    counts = Counter((min(max(int(row.score * _BINS), 0), _BINS - 1), bool(row.error)) for row in rows)
    pairs = [(counts[place, False], counts[place, True]) for place in range(_BINS)]
    most = max(sum(pair) for pair in pairs)
    return tuple(
        Bar(place / _BINS, (place + 1) / _BINS, *pair, *(round(100 * number / most, 2) for number in pair))
        for place, pair in enumerate(pairs)
    )


def _axis_over(values: Sequence[float]) -> Axis:
    low, high = math.floor(10 * min(values, default=0)), math.ceil(10 * max(values, default=1))
    return Axis(min(low, high - 2), high) if high >= 2 else Axis(0, 2)
