"""`segscout rl record`: roll episodes out and write them down."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from evals.progress import success_bar
from graphs.context import Context
from graphs.policies.base import Sampling
from graphs.policies.batching import BatchingPolicy
from graphs.policies.loading import EMBEDDED, EMBEDDED_FOLDER, is_address, is_token_address
from graphs.policies.vllm_tokens import VLLMTokenPolicy
from graphs.profiles import get_profile
from rl.keyframes import KeyframeSegmenter
from rl.records import RecordWriter, compact
from rl.records.encode import Origin, to_record
from rl.rewards import get_reward
from rl.rollouts import Runner
from rl.tasks import open_tasks
from rl.tasks.lookup import search_for
from tools.errors import InputError
from tools.segmenters import load_segmenter
from tools.settings import read_settings

_AT_ONCE = 64
"""Tasks that are rolled out before their episodes are written: what a killed run loses."""


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


def record_episodes(options: RecordOptions, out: Path) -> dict[str, Any]:
    """Roll out, write records to `out`, compact them; returns counts and means.

    Raises InputError for options that cannot be, PolicyError if the policy cannot be loaded, RecordError if the folder
    cannot be written.
    """
    if is_address(options.policy) and not is_token_address(options.policy):
        raise InputError(
            "a chat endpoint gives no token ids, so nothing can be trained on what it says.",
            remedy="Name a checkpoint folder, embedded, or a vLLM server as tokens+http://host:8000.",
        )
    if options.n < 1 or options.group < 1:
        raise InputError("there is nothing to roll out.", remedy="Give --n and --group of 1 or more.")
    source = open_tasks(options.task, options.data, options.split, options.seed, options.n)
    profile = get_profile(options.profile)
    policy = _load(options)
    sampling = Sampling(temperature=options.temperature)
    context = Context(
        policy=policy,
        dialect=profile.make_dialect(),
        segmenter=KeyframeSegmenter(load_segmenter(options.segmenter)),
        search=search_for(source, options.knowledge) if options.search else None,
        budget=profile.budget,
        sampling=sampling,
    )
    runner = Runner(source, context, policy.chatml, get_reward(options.reward))
    origin = Origin(options.policy, profile.dialect, sampling, options.split, 0, options.reward)
    return _write(runner, origin, options, out)


def _load(options: RecordOptions) -> BatchingPolicy | VLLMTokenPolicy:
    if is_token_address(options.policy):
        return VLLMTokenPolicy(options.policy, checkpoint=options.checkpoint, api_key=read_settings().secret())
    loaded: BatchingPolicy = BatchingPolicy.load(EMBEDDED_FOLDER if options.policy == EMBEDDED else options.policy)
    return loaded


def _write(runner: Runner, origin: Origin, options: RecordOptions, out: Path) -> dict[str, Any]:
    tasks = range(min(options.n, len(runner.source)))
    writer = RecordWriter(out, image_pad=runner.chatml.image_pad)
    rewards: list[float] = []
    right = broken = 0
    with success_bar("episodes", len(tasks) * options.group) as show:
        for start in range(0, len(tasks), _AT_ONCE):
            some = tasks[start : start + _AT_ONCE]
            wanted = [(task, options.seed + task * options.group + k) for task in some for k in range(options.group)]
            for number, rollout in enumerate(runner.run(wanted)):
                show(rollout is not None and rollout.success)
                if rollout is None:
                    broken += 1
                    continue
                writer.write(to_record(rollout, origin, sample_index=number % options.group), rollout.result.images)
                rewards.append(rollout.reward)
                right += rollout.success
    writer.close()
    written = compact(out)
    episodes = max(1, len(rewards))
    return {
        "records": written,
        "broken": broken,
        "success": round(right / episodes, 4),
        "reward": round(sum(rewards) / episodes, 4),
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
