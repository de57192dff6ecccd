"""Draw the curves of GRPO runs from their logs, and print the table that compares them.

python -m rl.results.curve segscout=runs/a/log.jsonl seg_research=runs/b/log.jsonl --out curve.png
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
import typer
from rich.console import Console
from rich.table import Table

from tools.errors import InputError, SegscoutError, boundary

mpl.use("Agg")
from matplotlib import pyplot as plt

Line = Mapping[str, float]

PANELS = (
    ("held_out/success", "held-out success (greedy)"),
    ("episodes/success", "success of sampled episodes"),
    ("reward", "reward of sampled episodes, relative to its start"),
    ("episodes/wasted", "wasted searches an episode, sampled"),
)
SMOOTH = 3
"""Waves of sampled episodes whose mean is drawn, since single ones are noisy."""


def read_log(path: Path) -> list[Line]:
    """Read the lines of a run's log.jsonl, but for a last one that is being written.

    Raises InputError if it is missing, no log of GRPO, or holds no step.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing.", remedy="Name the log.jsonl of a run.")
    with boundary(InputError, f"{path} is no log", remedy="Name the log.jsonl of a run."):
        written = path.read_text(encoding="utf-8").splitlines(keepends=True)
        lines: list[Line] = [json.loads(line) for line in written if line.endswith("\n")]
        steps = [line for line in lines if "reward" in line and {"step", "minutes"} <= line.keys()]
    if not steps:
        raise InputError(f"{path} holds no step.", remedy="Let a run of GRPO make at least one.")
    return lines


def series(lines: Sequence[Line], name: str) -> tuple[list[float], list[float]]:
    """Return minutes and values of a quantity; means over `SMOOTH` steps unless it is measured now and then."""
    found = [(line["minutes"], line[name]) for line in lines if name in line]
    if name.startswith("held_out/"):
        return [minutes for minutes, _ in found], [value for _, value in found]
    blocks = [found[start : start + SMOOTH] for start in range(0, len(found), SMOOTH)]
    values = [sum(value for _, value in block) / len(block) for block in blocks]
    # Rewards have scales of their own: what can be compared is how much each grew.
    scale = abs(values[0]) if name == "reward" and values and values[0] else 1.0
    return [block[-1][0] for block in blocks], [value / scale for value in values]


def draw(runs: Mapping[str, Sequence[Line]], out: Path) -> None:
    """Draw every panel with a curve for each run, over minutes, and write a PNG."""
    figure, axes = plt.subplots(1, len(PANELS), figsize=(4.2 * len(PANELS), 3.4), constrained_layout=True)
    for axis, (name, title) in zip(axes, PANELS, strict=True):
        for label, lines in runs.items():
            axis.plot(*series(lines, name), marker="o", markersize=3, label=label)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3)
        if "success" in name:
            axis.set_ylim(0, 1)
    axes[0].legend(fontsize=9)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def compare(lines: Sequence[Line]) -> dict[str, Any]:
    """Return what a run began and ended with; sampled quantities are means over its first and last `SMOOTH` waves.

    Of a run that was never measured on held-out tasks, only what was sampled.
    """
    held = [line for line in lines if "held_out/success" in line]
    steps = [line for line in lines if "reward" in line]

    def ends(name: str) -> tuple[float, float]:
        values = [line[name] for line in steps if name in line]
        first, last = values[:SMOOTH], values[-SMOOTH:]
        return sum(first) / max(1, len(first)), sum(last) / max(1, len(last))

    measured = [
        name
        for line in held[:1]
        for name in line
        if name.startswith("held_out/") and name not in ("held_out/n", "held_out/reward")
    ]
    return {
        "steps": steps[-1]["step"],
        "minutes": round(steps[-1]["minutes"], 1),
        **{name.replace("held_out/", "held-out "): (held[0][name], held[-1].get(name, 0.0)) for name in measured},
        "sampled success": ends("episodes/success"),
        "sampled reward": ends("reward"),
        "sampled answered": ends("episodes/answered"),
        "sampled searches": ends("episodes/searches"),
        "sampled wasted searches": ends("episodes/wasted"),
    }


def main(
    runs: Annotated[list[str], typer.Argument(help="NAME=LOG for each run.")],
    out: Annotated[Path, typer.Option(help="The picture.")] = Path("curve.png"),
) -> None:
    """Draw runs beside each other and print how each began and ended."""
    logs = {}
    for run in runs:
        name, _, path = run.rpartition("=")
        logs[name or Path(path).parent.name] = read_log(Path(path))
    with boundary(InputError, f"{out} cannot be written", remedy="Name a picture in a folder that is there."):
        draw(logs, out)
    compared = {name: compare(lines) for name, lines in logs.items()}
    table = Table("", *compared)
    for row in dict.fromkeys(row for found in compared.values() for row in found):
        table.add_row(row, *(_told(found.get(row, "")) for found in compared.values()))
    Console().print(table)


def _told(value: Any) -> str:
    return f"{value[0]:.3f} → {value[1]:.3f}" if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    try:
        typer.run(main)
    except SegscoutError as error:
        sys.exit(str(error))
