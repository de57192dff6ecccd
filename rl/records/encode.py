"""Make the record of a rollout: token stream, turns with what they cost, rewards, evidence, versions."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any

from graphs.conversation import to_plain
from graphs.endings import Ending
from graphs.events import Event, KeyframeShown, NodeFinished, Repaired, SearchFinished, TurnSampled
from graphs.policies.base import Sampling
from rl.records.schema import SCHEMA_VERSION, Record, RecordedImage, RecordedTurn, Status
from rl.rollouts import Rollout
from rl.stream import TokenStream

_PACKAGES = ("segscout", "torch", "transformers", "trl", "vllm", "langgraph")


@dataclass(frozen=True)
class Origin:
    """What all records of a run share: who sampled, how, and on which split; `version` counts the policy's updates.

    `setting` is whatever else makes episodes of one task and seed differ, by name: the profile, search, the segmenter.
    """

    policy: str
    dialect: str
    sampling: Sampling
    split: str = ""
    version: int = 0
    reward: str = ""
    setting: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A short hash of all that is shared: episodes of other options are other episodes, in other groups."""
        sampling = [self.sampling.temperature, self.sampling.top_p]
        shared = [self.policy, self.dialect, *sampling, self.split, self.version, self.reward, dict(self.setting)]
        return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]

    def seed_of(self, record: Record) -> int | None:
        """Return the seed of a record that was made under these options; None for any other."""
        return record["seed"] if record["episode_id"] == _episode_id(record["task_id"], record["seed"], self) else None


def to_record(rollout: Rollout, origin: Origin, *, sample_index: int = 0) -> Record:
    """Write a rollout down; `sample_index` is its place in its group, which are all episodes of one task."""
    ending = rollout.result.ending
    return {
        "schema_version": SCHEMA_VERSION,
        "episode_id": _episode_id(rollout.task.id, rollout.seed, origin),
        "task_id": rollout.task.id,
        "group_id": f"{rollout.task.id}@{origin.key}",
        "sample_index": sample_index,
        "seed": rollout.seed,
        "split": origin.split,
        "ability": rollout.task.ability,
        "query": rollout.result.query,
        "status": _status(ending),
        "ending": ending.value,
        "policy": origin.policy,
        "policy_version": origin.version,
        "temperature": origin.sampling.temperature,
        "top_p": origin.sampling.top_p,
        "dialect": origin.dialect,
        "prompt_len": rollout.stream.prompt,
        "input_ids": list(rollout.stream.ids),
        "loss_mask": list(rollout.stream.mask),
        "logprobs": list(rollout.stream.logprobs),
        "images": list(_images(rollout.stream, rollout.image_pad)),
        "turns": list(_turns(rollout)),
        "messages": json.dumps([to_plain(turn) for turn in rollout.result.conversation], ensure_ascii=False),
        "reward_name": origin.reward,
        "rewards": json.dumps(rollout.components),
        "reward": rollout.reward,
        "success": rollout.success,
        "metrics": json.dumps(_metrics(rollout)),
        "evidence": json.dumps([asdict(found) for found in rollout.result.evidence], ensure_ascii=False),
        "versions": json.dumps(_versions()),
    }


def _episode_id(task_id: str, seed: int, origin: Origin) -> str:
    return f"{task_id}/{seed}@{origin.key}"


def _status(ending: Ending) -> Status:
    if ending.broken:
        return "error"
    return "ok" if ending.answered else "truncated"


def _images(stream: TokenStream, image_pad: int) -> Iterator[RecordedImage]:
    at, runs = 0, []
    for pad, run in groupby(stream.ids, lambda token: token == image_pad):
        length = len(list(run))
        runs += [(at, length)] if pad else []
        at += length
    for image, (start, length) in zip(stream.images, runs, strict=True):
        yield {
            "sha256": image.sha256,
            "width": image.width,
            "height": image.height,
            "token_start": start,
            "token_len": length,
        }


def _turns(rollout: Rollout) -> Iterator[RecordedTurn]:
    """Cut the stream where the policy begins and ends to speak, and tell each stretch what the events say of it."""
    chapters = list(_chapters(rollout.events))
    spoken = iter(turn.text for turn in rollout.play.turns if turn.role == "policy")
    shown = iter(turn.text for turn in rollout.play.turns if turn.role == "observation")
    at, number = 0, 0
    for policy, run in groupby(rollout.stream.mask):
        length = len(list(run))
        turn: RecordedTurn = {
            "kind": "policy" if policy else "observation" if number else "instruction",
            "node": "", "start": at, "end": at + length, "seconds": 0.0, "finish": "", "action": "",
            "tool": "", "query": "", "cache_hit": False, "text": "",
        }  # fmt: skip
        at += length
        sampled, _ = chapters[min(number, len(chapters) - 1)]
        if policy:
            number += 1
            turn |= {
                "node": sampled.node, "seconds": sampled.seconds, "finish": sampled.finish_reason,
                "action": type(sampled.action).__name__, "text": next(spoken),
            }  # fmt: skip
        elif number:
            turn |= _observation(chapters[number - 1][1], next(shown, ""))
        yield turn


def _chapters(events: Sequence[Event]) -> Iterator[tuple[TurnSampled, list[Event]]]:
    """Yield each sampled turn with what happened before the next one."""
    current: tuple[TurnSampled, list[Event]] | None = None
    for event in events:
        if isinstance(event, TurnSampled):
            if current is not None:
                yield current
            current = event, []
        elif current is not None:
            current[1].append(event)
    if current is not None:
        yield current


def _observation(events: Sequence[Event], text: str) -> Any:
    searches = [event for event in events if isinstance(event, SearchFinished)]
    looked = any(isinstance(event, KeyframeShown) for event in events)
    repaired = any(isinstance(event, Repaired) for event in events)
    nodes = [event for event in events if isinstance(event, NodeFinished) and event.node in ("search", "observe")]
    return {
        "node": "search" if searches else "observe",
        "seconds": sum(event.seconds for event in nodes),
        "tool": searches[0].tool if searches else "keyframe" if looked else "repair" if repaired else "",
        "query": "; ".join(event.query for event in searches),
        "cache_hit": bool(searches) and all(event.fate == "cached" for event in searches),
        "text": text,
    }


def _metrics(rollout: Rollout) -> dict[str, float]:
    usage = rollout.result.usage
    return {
        "seconds": rollout.seconds,
        "reward_seconds": rollout.reward_seconds,
        "turns": usage.turns,
        "searches": usage.searches,
        "useful_searches": rollout.play.useful,
        "cache_hits": usage.cache_hits,
        "malformed": usage.malformed,
        "policy_tokens": sum(rollout.stream.mask),
        **{f"seconds_{node}": seconds for node, seconds in usage.seconds.items()},
    }


@cache
def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
