"""`segscout rl record`: roll episodes out and write each down as it ends.

A run that was killed is continued by the same command: episodes that are there already are not played again.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from evals.progress import success_bar
from graphs.context import Context
from graphs.policies.base import Sampling
from graphs.policies.loading import EMBEDDED, is_address, is_token_address
from graphs.profiles import get_profile
from rl.commands.policies import fingerprint, load_batching
from rl.keyframes import KeyframeSegmenter
from rl.records import Record, RecordWriter, read_records
from rl.records.encode import Origin, to_record
from rl.rewards import get_reward
from rl.rollouts import Rollout, Runner
from rl.tasks import open_tasks
from rl.tasks.lookup import search_for
from tools.errors import InputError
from tools.segmenters import load_segmenter
from tools.settings import read_settings

if TYPE_CHECKING:
    from graphs.policies.batching import BatchingPolicy
    from graphs.policies.vllm_tokens import VLLMTokenPolicy

_AT_ONCE = 64
"""Tasks that are rolled out together; their pictures stay in memory until the last of them has ended."""


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What to roll out: `group` episodes of each of `n` tasks, sampled at `temperature`, with seeds from `seed` on."""

    task: str = "emblems"
    split: str = "train"
    seed: int = 0
    n: int = 64
    group: int = 1
    policy: str = EMBEDDED
    checkpoint: str | None = None
    profile: str = "embedded"
    reward: str = "segscout"
    temperature: float = 1.0
    segmenter: str = "sam2"
    search: bool = True
    data: Path | None = None
    knowledge: Path | None = None

    def origin(self) -> Origin:
        """Return what the records of these options share; how many tasks are asked for is none of it."""
        # What a server has loaded cannot be seen; the checkpoint that it is said to serve can, if it is a folder.
        named = self.checkpoint if is_token_address(self.policy) else self.policy
        setting = {
            "profile": self.profile, "segmenter": self.segmenter, "search": str(self.search), "task": self.task,
            "data": str(self.data or ""), "knowledge": str(self.knowledge or ""), "seed": str(self.seed),
            "group": str(self.group), "checkpoint": self.checkpoint or "",
            "weights": fingerprint(named) if named else "",
        }  # fmt: skip
        sampling = Sampling(temperature=self.temperature)
        return Origin(self.policy, get_profile(self.profile).dialect, sampling, self.split, 0, self.reward, setting)


def record_episodes(options: RecordOptions, out: Path) -> dict[str, Any]:
    """Roll out what is not in `out` yet, write each record as its episode ends, compact; returns counts and means.

    `kept` of the `episodes` of these options were there before; `records` counts all that the folder holds.

    Raises InputError for options that cannot be, PolicyError if the policy cannot be loaded, RecordError if the folder
    cannot be written, is being written by another process, or holds other files than ours.
    """
    if is_address(options.policy) and not is_token_address(options.policy):
        raise InputError(
            "a chat endpoint gives no token ids, so nothing can be trained on what it says.",
            remedy="Name a checkpoint folder, embedded, or a vLLM server as tokens+http://host:8000.",
        )
    if options.n < 1 or options.group < 1:
        raise InputError("there is nothing to roll out.", remedy="Give --n and --group of 1 or more.")
    if not math.isfinite(options.temperature) or options.temperature < 0:
        raise InputError(
            f"nothing can be sampled at temperature {options.temperature:g}.", remedy="Give --temperature 0 or more."
        )
    reward, profile = get_reward(options.reward), get_profile(options.profile)
    source = open_tasks(options.task, options.data, options.split, options.seed, options.n)
    policy, origin = _load(options), options.origin()
    context = Context(
        policy=policy,
        dialect=profile.make_dialect(),
        segmenter=KeyframeSegmenter(load_segmenter(options.segmenter)),
        search=search_for(source, options.knowledge) if options.search else None,
        budget=profile.budget,
        sampling=origin.sampling,
    )
    runner = Runner(source, context, policy.chatml, reward)
    wanted = _wanted(options, len(source))
    with RecordWriter(out, image_pad=runner.chatml.image_pad) as writer:
        there = {origin.seed_of(record) for record in read_records(out)}
        missing = [(task, seed) for task, seed in wanted if seed not in there]
        broken = _write(runner, missing, writer, origin, options)
        written = writer.compact()
    asked = {seed for _, seed in wanted}
    return {
        "records": written,
        "kept": len(wanted) - len(missing),
        "broken": broken,
        **_means([record for record in read_records(out) if origin.seed_of(record) in asked]),
    }


def _load(options: RecordOptions) -> "BatchingPolicy | VLLMTokenPolicy":
    if is_token_address(options.policy):
        from graphs.policies.vllm_tokens import VLLMTokenPolicy

        return VLLMTokenPolicy(options.policy, checkpoint=options.checkpoint, api_key=read_settings().secret())
    return load_batching(options.policy)


def _wanted(options: RecordOptions, tasks: int) -> list[tuple[int, int]]:
    """Return the (task index, seed) of every episode; no two share a seed."""
    pairs = ((task, k) for task in range(min(options.n, tasks)) for k in range(options.group))
    return [(task, options.seed + task * options.group + k) for task, k in pairs]


def _write(
    runner: Runner, missing: list[tuple[int, int]], writer: RecordWriter, origin: Origin, options: RecordOptions
) -> int:
    """Roll out and write each episode as it ends; returns how many broke."""
    broken = 0
    at_once = _AT_ONCE * options.group
    with success_bar("episodes", len(missing)) as show:

        def done(place: int, rollout: Rollout | None) -> None:
            show(rollout is not None and rollout.success)
            if rollout is not None:
                sample = (rollout.seed - options.seed) % options.group
                writer.write(to_record(rollout, origin, sample_index=sample), rollout.result.images)

        for start in range(0, len(missing), at_once):
            broken += runner.run(missing[start : start + at_once], done).count(None)
    return broken


def _means(records: list[Record]) -> dict[str, float]:
    """Return the means of the run's episodes, those that an earlier call played included."""
    return {
        "episodes": len(records),
        "success": round(statistics.fmean(record["success"] for record in records), 4) if records else 0.0,
        "reward": round(statistics.fmean(record["reward"] for record in records), 4) if records else 0.0,
    }


def record(
    task: Annotated[str, typer.Option(help="emblems, ok-vos, reason-seg, …")] = "emblems",
    n: Annotated[int, typer.Option(help="How many tasks.")] = 64,
    group: Annotated[int, typer.Option(help="Episodes of each task, for GRPO from records.")] = 1,
    policy: Annotated[str, typer.Option(help="embedded, a checkpoint folder, or tokens+http://host:8000.")] = EMBEDDED,
    checkpoint: Annotated[str | None, typer.Option(help="Folder or hub id of what tokens+http serves.")] = None,
    profile: Annotated[str, typer.Option(help="What the checkpoint needs.")] = "embedded",
    reward: Annotated[str, typer.Option(help="segscout, seg-research, …")] = "segscout",
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    seed: Annotated[int, typer.Option(help="Decides tasks and sampling.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 1.0,
    segmenter: Annotated[str, typer.Option(help="sam2 or grabcut.")] = "sam2",
    search: Annotated[bool, typer.Option("--search/--no-search", help="Whether it may look things up.")] = True,
    data: Annotated[Path | None, typer.Option(help="Folder of a published data set.")] = None,
    kb: Annotated[Path | None, typer.Option(help="Knowledge base to search; Emblems bring their own.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the records.")] = Path("runs/records"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, last.")] = False,
) -> None:
    """Roll episodes out and write one record each: tokens, log-probabilities, turns, rewards, pictures by sha256."""
    options = RecordOptions(
        task=task, n=n, group=group, policy=policy, checkpoint=checkpoint, profile=profile, reward=reward, split=split,
        seed=seed, temperature=temperature, segmenter=segmenter, search=search, data=data, knowledge=kb,
    )  # fmt: skip
    summary = record_episodes(options, out) | {"out": str(out)}
    typer.echo(json.dumps(summary)) if as_json else Console().print(summary)
