"""`segscout rl check`: are records whole, and are they still what this policy would have sampled?"""

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from graphs.policies.batching import BatchingPolicy
from graphs.policies.loading import EMBEDDED, EMBEDDED_FOLDER
from rl.records import RecordError, read_records
from rl.records.decode import to_row
from rl.records.files import media_path
from rl.records.invariants import problems
from rl.records.schema import Record
from rl.scoring import logprobs_of


def check_folder(folder: Path, policy: str | None, *, sample: int = 16) -> dict[str, Any]:
    """Check invariants and pictures of all records, parity and drift of the first `sample` under a policy.

    Parity is the mean distance of a token's recorded log-probability from the policy's; drift is the mean of the
    logarithm of the ratio, how far the policy has moved from the one that sampled.
    """
    records = list(read_records(folder))
    loaded = None if policy is None else BatchingPolicy.load(EMBEDDED_FOLDER if policy == EMBEDDED else policy)
    broken = [f"{record['episode_id']}: {what}" for record in records for what in _wrong(record, folder, loaded)]
    report: dict[str, Any] = {"records": len(records), "broken": broken}
    if loaded is not None:
        apart = [pair for record in records[:sample] for pair in _apart(record, folder, loaded)]
        report |= {
            "compared_tokens": len(apart),
            "parity_mean": statistics.fmean(abs(ours - theirs) for ours, theirs in apart),
            "parity_max": max(abs(ours - theirs) for ours, theirs in apart),
            "drift": statistics.fmean(ours - theirs for ours, theirs in apart),
        }
    return report


def _wrong(record: Record, folder: Path, policy: BatchingPolicy | None) -> list[str]:
    if policy is not None:
        pad = policy.chatml.image_pad
    elif record["images"]:
        pad = record["input_ids"][record["images"][0]["token_start"]]
    else:
        pad = -1
    missing = [image["sha256"] for image in record["images"] if not media_path(folder, image["sha256"]).is_file()]
    return [*problems(record, pad), *(f"the picture {sha256[:12]} is missing" for sha256 in missing)]


def _apart(record: Record, folder: Path, policy: BatchingPolicy) -> list[tuple[float, float]]:
    row = to_row(record, folder)
    ours = logprobs_of(policy, row, temperature=record["temperature"] or 1.0)
    return [(one, two) for one, two, spoke in zip(ours, row.stream.logprobs, row.stream.mask, strict=True) if spoke]


def check(
    folder: Annotated[Path, typer.Argument(help="A folder of records.")],
    policy: Annotated[str | None, typer.Option(help="embedded, or a checkpoint folder: compare with it, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")] = False,
) -> None:
    """Check the invariants of every record, and with --policy how far its log-probabilities are from the recorded."""
    report = check_folder(folder, policy)
    typer.echo(json.dumps(report)) if as_json else Console().print(report)
    if report["broken"]:
        raise RecordError(f"{len(report['broken'])} invariants do not hold.", remedy="Roll those episodes out again.")
