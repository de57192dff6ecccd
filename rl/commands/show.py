"""`segscout rl show`: one recorded episode, readable."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from rl.records import RecordError, read_records
from rl.records.schema import Record, RecordedTurn

_STYLES = {"instruction": "dim", "policy": "bold", "observation": "cyan"}


def find_record(folder: Path, which: str) -> Record:
    """Return the record of an episode id, of a place (0 is the first), or the first; RecordError if there is none."""
    place = -1
    for place, found in enumerate(read_records(folder)):
        if which in ("", str(place), found["episode_id"]):
            return found
    if place < 0:
        raise RecordError(
            f"there are no records in {folder} yet.", remedy="Wait for the first episode, or run `segscout rl record`."
        )
    raise RecordError(f"{folder} has no episode {which!r}.", remedy="Give its id, or its place from 0 on.")


def render(record: Record) -> Group:
    """Return the episode as text for a terminal: what was asked, each turn with its cost, what it was worth."""
    rewards = " ".join(f"{name} {value:.3f}" for name, value in json.loads(record["rewards"]).items())
    outcome = "right" if record["success"] else "wrong"
    head = Text(
        f"{record['episode_id']}  {record['ability']}  {record['ending']}, {outcome}\n"
        f"{record['query']}\n"
        f"reward {record['reward_name']} {record['reward']:.3f}  ({rewards})\n"
        f"{len(record['input_ids'])} tokens, {sum(record['loss_mask'])} of them the policy's, "
        f"{len(record['images'])} pictures; policy {record['policy']} at temperature {record['temperature']:g}"
    )
    return Group(Panel(head), *(_turn(turn, record) for turn in record["turns"]))


def _turn(turn: RecordedTurn, record: Record) -> Text:
    tokens = turn["end"] - turn["start"]
    what = turn["action"] or turn["tool"] or turn["kind"]
    scores = record["logprobs"][turn["start"] : turn["end"]]
    sure = f", mean log-probability {sum(scores) / tokens:.3f}" if turn["kind"] == "policy" and tokens else ""
    cached = ", from cache" if turn["cache_hit"] else ""
    title = f"{turn['node'] or 'task':>8}  {what}  {tokens} tokens, {turn['seconds']:.2f} s{sure}{cached}\n"
    return Text.assemble((title, "green"), (turn["text"] + "\n", _STYLES[turn["kind"]]))


def show(
    folder: Annotated[Path, typer.Argument(help="A folder of records.")],
    episode: Annotated[str, typer.Argument(help="Its id, or its place from 0 on; default: the first.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as one JSON object.")] = False,
) -> None:
    """Print one recorded episode, turn by turn."""
    found = find_record(folder, episode)
    typer.echo(json.dumps(found)) if as_json else Console().print(render(found))
