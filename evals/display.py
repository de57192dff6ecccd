"""Summaries as tables in a terminal."""

from typing import Any

from rich.table import Table
from rich.text import Text

from evals.report.comparison import Cell, Line, compare
from evals.runs.summary import Summary


def tables(summary: Summary) -> tuple[Table | Text | str, ...]:
    """Return each measure of a run with numbers of others below it, what failed, and how it counts."""
    comparison = compare(summary.measures, summary.published)
    table = Table("measure", "of", "n", "value", "95 %", title=summary.title)
    for place, column in enumerate(comparison.columns):
        name = column.name if column.higher_is_better else f"{column.name} ↓"
        for line in comparison.lines:
            if (cell := line.cells[place]) is not None:
                table.add_row(name, *_cells(line, cell))
                name = ""
        table.add_section()
    shown: list[Table | Text | str] = [table]
    shown += [Text(f"[{number}] {note}") for number, note in enumerate(comparison.notes, 1)]
    if summary.errors:
        told = ", ".join(f"{number} {error}" for error, number in summary.errors.items())
        shown.append(f"without an answer: {told}")
    return *shown, summary.counts


def _cells(line: Line, cell: Cell) -> tuple[Text, str, str, str]:
    """Return who a value is of, over how many samples, the value, and its interval."""
    of = (f"  {line.label}" if line.label else "this run") if line.ours else f"{line.label} [{cell.note}]"
    interval = "" if cell.ci95 is None else "{:.3f} to {:.3f}".format(*cell.ci95)
    return Text(of), "" if cell.n is None else str(cell.n), f"{cell.value:.3f}", interval


def emblems_tables(summary: dict[str, Any]) -> tuple[Table, str]:
    """Return what a run of Emblems came to, beside what guessing would."""
    table = Table(
        "ability", "n", "success", "95 %", "guessing", title=f"Emblems {summary['split']}, seed {summary['seed']}"
    )
    for name, row in {**summary["by_ability"], "all": summary}.items():
        low, high = row["ci95"]
        table.add_row(name, str(row["n"]), f"{row['success']:.1%}", f"{low:.1%} to {high:.1%}", f"{row['guess']:.1%}")
    masks = ""
    if summary["miou_present"] is not None:
        masks = (
            f"where there is a target, mIoU {summary['miou_present']:.3f} and J&F {summary['j_and_f_present']:.3f}; "
        )
    rest = (
        f"{masks}an episode takes {summary['searches_per_episode']:.2f} searches "
        f"and {summary['median_seconds']:.2f} s (median)"
    )
    return table, rest
