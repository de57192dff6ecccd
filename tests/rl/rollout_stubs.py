"""Rollouts for tests: a tiny policy with random weights that plays the oracle's turns, so that episodes end well.

`Prompted` is a policy whose turns are given as text, and whose log-probabilities are those of the tiny model.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import torch

from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from graphs.context import Context
from graphs.conversation import Turn
from graphs.policies.base import Completion, Policy, Sampling
from graphs.policies.batching import BatchingPolicy
from graphs.policies.replay import ReplayPolicy
from graphs.policies.vision import patchify
from graphs.profiles import get_profile
from rl.keyframes import KeyframeSegmenter
from rl.records import RecordWriter
from rl.rewards.base import Play
from rl.rollouts import Rollout, Runner
from rl.tasks.base import TrainingTask
from rl.tasks.emblems import EmblemsSource
from tools.image_store import ImageStore


class Found:
    """1 for an answer that stands, less what searches cost; enough to make groups differ."""

    name, source = "found", "tests"
    weights: ClassVar = {"answered": 1.0, "searches": -0.1}

    def components(self, play: Play) -> dict[str, float]:
        return {"answered": float(play.ending in ("found", "absent")), "searches": float(play.searches)}


class Prompted:
    """Speak another policy's words with the tiny model's tokenizer, and score them as the model would."""

    name = "prompted"

    def __init__(self, batching: BatchingPolicy, words: Policy) -> None:
        self._batching, self._words = batching, words

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        said = await self._words.complete(turns, images, max_tokens=max_tokens, stop=stop, sampling=sampling)
        chatml = self._batching.chatml
        ids = (*self._batching._encode(said.text), chatml.end_of_turn)
        scores = await asyncio.to_thread(score, self._batching, turns, images, ids)
        return Completion(said.text, "stop", len(chatml.encode(turns).ids), len(ids), ids, scores)


class Scripted(ReplayPolicy):
    """Play a script in ids that stand for letters, so that its episodes can be trained on; no model is asked."""

    async def complete(self, turns: Sequence[Turn], images: ImageStore, **asked: object) -> Completion:
        said = await super().complete(turns, images, **asked)  # type: ignore[arg-type]
        ids = tuple(letters(said.text))
        return Completion(said.text, "stop", said.prompt_tokens, len(ids), ids, (-0.5,) * len(ids))


def letters(text: str) -> list[int]:
    """An id for each letter, and one for each special token."""
    special = {"<|image_pad|>": 1, "<|im_end|>": 2, "<|im_start|>": 3}
    return [special.get(piece) or ord(piece[0]) for piece in re.findall(r"<\|im\w+\|>|.", text, re.DOTALL)]


def score(
    batching: BatchingPolicy, turns: Sequence[Turn], images: ImageStore, ids: tuple[int, ...]
) -> tuple[float, ...]:
    """The model's log-probabilities of `ids` after `turns`, by one plain forward pass of transformers."""
    encoded = batching.chatml.encode(turns)
    whole = torch.tensor([[*encoded.ids, *ids]])
    pixels = {}
    if encoded.images:
        pixels = {
            "pixel_values": torch.cat([patchify(images.get(ref.sha256)) for ref in encoded.images]),
            "image_grid_thw": torch.tensor([[1, ref.height // 16, ref.width // 16] for ref in encoded.images]),
        }
    with torch.inference_mode():
        logits = batching.model(
            input_ids=whole,
            attention_mask=torch.ones_like(whole),
            mm_token_type_ids=(whole == batching.chatml.image_pad).int(),
            **pixels,
        ).logits[0, -len(ids) - 1 : -1]
    return tuple(logits.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist())


def runner(folder: Path, *, n: int = 20, oracle: bool = True, temperature: float = 1.0) -> Runner:
    """A runner on Emblems whose policy is the tiny model, speaking the oracle's words or its own."""
    source = EmblemsSource("val", 3, n)
    batching = BatchingPolicy.load(folder, device="cpu")
    profile = get_profile("embedded")
    context = Context(
        policy=batching,
        dialect=profile.make_dialect(),
        search=EmblemSearch(source.world),
        budget=profile.budget,
        sampling=Sampling(temperature=temperature),
    )

    def own(given: Context, task: TrainingTask) -> Context:
        emblem = source.draw(int(task.id.rsplit("-", 1)[1]))
        changed = replace(given, segmenter=KeyframeSegmenter(ExactSegmenter(emblem.clip)))
        if not oracle:
            return changed
        words = oracle_policy(emblem, source.world, frames=4)
        return replace(changed, policy=Prompted(batching, words))

    return Runner(source, context, batching.chatml, Found(), context_of=own)


def compact(folder: Path) -> int:
    """Move what lies in a folder of records into its Parquet file, as a run does at its end."""
    with RecordWriter(folder, image_pad=0) as writer:
        return writer.compact()


def roll_out(folder: Path, count: int) -> list[Rollout]:
    """The oracle's episodes on the first tasks, one of each ability in turn."""
    found = runner(folder).run([(index, index) for index in range(count)])
    assert all(rollout is not None for rollout in found), "an episode broke"
    return [rollout for rollout in found if rollout is not None]
