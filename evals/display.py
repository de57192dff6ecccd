"""Summaries as tables in a terminal."""

from typing import Any

from rich.table import Table

from evals.runs.summary import Summary


def tables(summary: Summary) -> tuple[Table | str, ...]:
    """Return the measures of a run, numbers of others beside them, what failed, and how it counts."""
    table = Table("measure", "of", "n", "value", "95 %", title=summary.title)
    for measure in summary.measures:
        interval = "" if measure.ci95 is None else "{:.3f} to {:.3f}".format(*measure.ci95)
        table.add_row(measure.name, measure.group or "all", str(measure.n), f"{measure.value:.3f}", interval)
    shown: list[Table | str] = [table]
    if summary.published:
        others = Table("published", "measure", "value", "by", "mind")
        for one in summary.published:
            others.add_row(one.system, one.measure, f"{one.value:.3f}", one.source, one.caveat)
        shown.append(others)
    if summary.errors:
        told = ", ".join(f"{number} {error}" for error, number in summary.errors.items())
        shown.append(f"without an answer: {told}")
    return *shown, summary.counts


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
