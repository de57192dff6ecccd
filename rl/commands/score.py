"""`segscout rl score`: recompute the recorded rewards of published rollouts."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from graphs.replay import read_records
from rl.rewards import get_reward
from rl.rewards.seg_research import SegResearch
from rl.rewards.seg_research_rollouts import Rollout, count_matches
from tools.errors import InputError


def score_rollouts(path: Path, reward: str) -> dict[str, Any]:
    """Return how many records of a rollouts file each recomputed component matches within 1e-9.

    Raises InputError for a file that cannot be read and for a reward whose components no rollouts record.
    """
    chosen = get_reward(reward)
    if not isinstance(chosen, SegResearch):
        raise InputError(
            f"rollouts with recorded components of the reward {chosen.name!r} are not known.",
            remedy="Only --reward seg-research has published rollouts.",
        )
    found = count_matches(read_records(path, Rollout))
    return {"records": found.records, "match": found.match}


def score(
    rollouts: Annotated[Path, typer.Argument(metavar="ROLLOUTS.jsonl", help="Recorded rollouts, one JSON a line.")],
    reward: Annotated[str, typer.Option(help="Whose components were recorded: seg-research.")] = "seg-research",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute each recorded component of rollouts and count those that agree."""
    result = score_rollouts(rollouts, reward)
    if as_json:
        typer.echo(json.dumps(result))
        return
    table = Table("component", "equal", "of", title=str(rollouts))
    for name, count in result["match"].items():
        table.add_row(name, str(count), str(result["records"]))
    Console().print(table)
