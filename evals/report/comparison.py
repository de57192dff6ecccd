"""Ours beside what others published: a line for each group of samples and each system, a column for each measure."""

from collections.abc import Sequence
from dataclasses import dataclass

from evals.benchmarks.base import Measure, Published
from evals.metrics.intervals import Interval


@dataclass(frozen=True)
class Column:
    """A measure; errors are better the lower they are."""

    name: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Cell:
    """A value, 0 to 1; `n` and `ci95` are known of ours only, `note` (from 1) says where another's is from."""

    value: float
    n: int | None = None
    ci95: Interval | None = None
    note: int | None = None


@dataclass(frozen=True)
class Line:
    """Ours over all samples (`label` ""), ours over a group, or a published system; a cell for each column."""

    label: str
    ours: bool
    cells: tuple[Cell | None, ...]

    @property
    def n(self) -> int | None:
        """Over how many samples most of its cells are: the most of any."""
        return max((cell.n for cell in self.cells if cell is not None and cell.n is not None), default=None)


@dataclass(frozen=True)
class Comparison:
    """Columns in the order of the measures, our lines first; notes are numbered from 1."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def compare(measures: Sequence[Measure], published: Sequence[Published]) -> Comparison:
    """Put measures and published numbers side by side."""
    columns = {measure.name: Column(measure.name, measure.higher_is_better) for measure in measures}
    columns |= {one.measure: Column(one.measure) for one in published if one.measure not in columns}
    notes = list(dict.fromkeys(_note(one) for one in published))
    ours = {(measure.group, measure.name): Cell(measure.value, measure.n, measure.ci95) for measure in measures}
    theirs = {(one.system, one.measure): Cell(one.value, note=notes.index(_note(one)) + 1) for one in published}
    lines = [
        Line(label, is_ours, tuple(cells.get((label, name)) for name in columns))
        for cells, is_ours in ((ours, True), (theirs, False))
        for label in dict.fromkeys(label for label, _ in cells)
    ]
    return Comparison(tuple(columns.values()), tuple(lines), tuple(notes))


def _note(one: Published) -> str:
    return f"{one.source}: {one.caveat}" if one.caveat else one.source
