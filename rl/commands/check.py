"""`segscout rl check`: are records whole, and are they still what this policy would have sampled?"""

import json
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from graphs.conversation import from_plain
from graphs.policies.chatml import ChatML
from rl.commands.policies import load_batching
from rl.records import RecordError
from rl.records.decode import to_row
from rl.records.files import identity, load_image, read_parts
from rl.records.invariants import cell_of, image_pad_of, problems
from rl.records.schema import Record
from rl.rewards import get_reward
from rl.rewards.base import Reward, total
from rl.stream import StreamError, to_stream
from tools.errors import InputError, PolicyError

if TYPE_CHECKING:
    from graphs.policies.batching import BatchingPolicy

_SHOWN = 5
"""Failures that the error itself names; the report names all."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far recorded log-probabilities may lie from the policy's, over how many records (0: all), drawn by `seed`."""

    mean: float = 0.02
    most: float = 1.0
    sample: int = 0
    seed: int = 0


def check_folder(folder: Path, policy: str | None, bounds: Bounds | None = None) -> dict[str, Any]:
    """Check all records by themselves, and under a policy the parity of all of them or of a sample.

    Parity is the mean distance of a token's recorded log-probability from the policy's; drift is the mean of the
    logarithm of the ratio, how far the policy has moved from the one that sampled. `broken` says what is wrong with
    which record, `apart` which records lie beyond the bounds. Raises RecordError for files that cannot be read,
    PolicyError if the policy cannot be loaded.
    """
    loaded = None if policy is None else load_batching(policy)
    records, broken = _read_once(folder)
    picture = cache(lambda sha256: _picture(folder, sha256))
    whole = []
    for record in records:
        wrong = [*_wrong(record, loaded, cell_of(records[0])), *_picture_problems(record, picture)]
        broken += [f"{record['episode_id']}: {what}" for what in wrong]
        whole += [] if wrong else [record]
    report: dict[str, Any] = {"records": len(records), "broken": broken}
    unknown = sorted({record["reward_name"] for record in records if _reward(record["reward_name"]) is None})
    if unknown:
        report["rewards_not_checked"] = unknown
    return report if loaded is None else report | _parity(whole, folder, loaded, bounds or Bounds())


def _read_once(folder: Path) -> tuple[list[Record], list[str]]:
    """Return every record once, and which ids stand for more than one.

    The same record in two files is what a run leaves that was killed while compacting, and no fault.
    """
    found: dict[str, tuple[Path, bytes]] = {}
    records, broken = [], []
    for path, record in read_parts(folder):
        name, own = record["episode_id"], identity(record)
        if name not in found:
            found[name] = path, own
            records.append(record)
        elif found[name][0] == path or found[name][1] != own:
            broken.append(f"{name}: it is there more than once")
    if not records:
        raise RecordError(f"there are no records in {folder} yet.", remedy="Make some with `segscout rl record`.")
    return records, broken


def _wrong(record: Record, policy: "BatchingPolicy | None", cell: float) -> Iterator[str]:
    yield from problems(record, image_pad_of(record) if policy is None else policy.chatml.image_pad)
    if record["images"] and cell and cell_of(record) != cell:
        yield "its pictures have other numbers of tokens than those of the first record"
    yield from _reward_problems(record)
    if policy is not None:
        yield from _stream_problems(record, policy.chatml)


def _reward_problems(record: Record) -> Iterator[str]:
    try:
        parts = {str(name): float(value) for name, value in json.loads(record["rewards"]).items()}
    except (ValueError, TypeError, AttributeError):
        yield "the components of its reward are no numbers by name"
        return
    reward = _reward(record["reward_name"])
    if reward is None:
        return
    missing = [name for name in reward.weights if name not in parts]
    if missing:
        yield f"the reward lacks {', '.join(missing)}"
    elif not math.isclose(total(reward, parts), record["reward"], rel_tol=1e-6, abs_tol=1e-6):
        yield f"the reward {record['reward']:g} is not the {total(reward, parts):g} that its components make"


@cache
def _reward(name: str) -> Reward | None:
    try:
        return get_reward(name)
    except InputError:
        return None


def _stream_problems(record: Record, chatml: ChatML) -> Iterator[str]:
    """Say whether the messages, encoded anew, are the recorded tokens: what was shown as well as what was said."""
    try:
        stream = to_stream(chatml, [from_plain(turn) for turn in json.loads(record["messages"])])
    except (ValueError, KeyError, TypeError, StreamError, PolicyError) as error:
        yield f"its messages cannot be encoded: {error}"
        return
    if list(stream.ids) != record["input_ids"]:
        yield "its tokens are not those of its messages"


def _picture(folder: Path, sha256: str) -> tuple[int, int] | str:
    """Return a picture's width and height, or what is wrong with it."""
    try:
        height, width = load_image(folder, sha256).shape[:2]
    except RecordError as error:
        return error.message.rstrip(".")
    return width, height


def _picture_problems(record: Record, picture: Any) -> Iterator[str]:
    for image in record["images"]:
        found = picture(image["sha256"])
        if isinstance(found, str):
            yield found
        elif found != (image["width"], image["height"]):
            yield f"picture {image['sha256'][:12]} is {found[0]}x{found[1]}, not {image['width']}x{image['height']}"


def _parity(records: Sequence[Record], folder: Path, policy: "BatchingPolicy", bounds: Bounds) -> dict[str, Any]:
    """Compare a seeded sample of whole records with the policy; `apart` names those beyond the bounds."""
    size = min(bounds.sample or len(records), len(records))
    chosen = random.Random(bounds.seed).sample(records, size)
    gaps: list[float] = []
    apart = []
    for record in chosen:
        own = _gaps(record, folder, policy)
        mean, most = statistics.fmean(map(abs, own)), max(map(abs, own))
        if not (mean <= bounds.mean and most <= bounds.most):  # also for what is no number
            apart.append(f"{record['episode_id']}: mean {mean:.3g}, max {most:.3g}")
        gaps += own
    report: dict[str, Any] = {"compared_records": size, "compared_tokens": len(gaps), "apart": apart}
    if gaps:
        report["parity_mean"] = statistics.fmean(map(abs, gaps))
        report["parity_max"] = max(map(abs, gaps))
        report["drift"] = statistics.fmean(gaps)
    return report


def _gaps(record: Record, folder: Path, policy: "BatchingPolicy") -> list[float]:
    from rl.scoring import logprobs_of  # late: torch is of no use to those who compare with no policy

    row = to_row(record, folder)
    ours = logprobs_of(policy, row, temperature=record["temperature"] or 1.0)
    stream = row.stream
    return [one - two for one, two, spoke in zip(ours, stream.logprobs, stream.mask, strict=True) if spoke]


def check(
    folder: Annotated[Path, typer.Argument(help="A folder of records.")],
    policy: Annotated[str | None, typer.Option(help="embedded, or a checkpoint folder: compare with it, too.")] = None,
    parity_mean: Annotated[float, typer.Option(help="With --policy: a record's mean distance at most.")] = 0.02,
    parity_max: Annotated[float, typer.Option(help="With --policy: a token's distance at most.")] = 1.0,
    sample: Annotated[int, typer.Option(min=0, help="With --policy: compare so many records; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Decides which are compared.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")] = False,
) -> None:
    """Check every record and picture, and with --policy how far its log-probabilities are from the recorded."""
    report = check_folder(folder, policy, Bounds(mean=parity_mean, most=parity_max, sample=sample, seed=seed))
    typer.echo(json.dumps(report)) if as_json else Console(soft_wrap=True).print(report)
    if report["broken"]:
        raise RecordError(
            f"{len(report['broken'])} invariants do not hold: {_named(report['broken'])}.",
            remedy="Record them anew, into another folder: what is there already is not rolled out again.",
        )
    if report.get("apart"):
        raise RecordError(
            f"{len(report['apart'])} of {report['compared_records']} records are not what {policy} would sample: "
            f"{_named(report['apart'])}.",
            remedy="Name the policy that made them, or raise --parity-mean and --parity-max.",
        )


def _named(failures: Sequence[str]) -> str:
    more = f"; and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
    return "; ".join(failures[:_SHOWN]) + more
