"""Who samples the episodes of a training run, and how it gets the weights that were trained.

`in-process` decodes with the very model that is trained; `vllm` asks servers, which read the weights again from a
folder before each batch of episodes. The second is for models that one GPU does not hold twice.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from graphs.policies.base import Policy
from graphs.policies.batching import BatchingPolicy
from graphs.policies.chatml import ChatML
from graphs.policies.replay import ReplayPolicy
from rl.grpo.recipe import GRPORecipe, SamplerPart
from rl.rollouts import Runner
from rl.rows import TrainingRow
from rl.weight_sync import ServerWeights
from rl.weights import save_trained
from tools.errors import InputError
from tools.settings import read_settings


class Sampler(Protocol):
    """A policy that samples, kept at the weights of the trainer."""

    policy: Policy
    chatml: ChatML
    exact: bool
    """Whether its log-probabilities are the trainer's own, up to the order of additions."""

    def update(self, trainer: Any) -> None:
        """Take over the weights of a TRL trainer; every process calls it, before episodes are rolled out."""
        ...


class InProcessSampler:
    """Decode with the trained model itself."""

    exact = True

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self._policy = BatchingPolicy(model, tokenizer, name=name)
        self.policy: Policy = self._policy
        self.chatml = self._policy.chatml

    def update(self, trainer: Any) -> None:
        """Drop pictures that other weights encoded."""
        self._policy.forget()


class VLLMSampler:
    """Ask vLLM servers, each process one of them; all of them read new weights from the folder `served`.

    These are written in `dtype`, in which the trainer computes: a server that got coarser ones would sample from
    another policy than the one that is trained.
    """

    exact = False

    def __init__(self, part: SamplerPart, checkpoint: str, served: Path, process: int, dtype: torch.dtype) -> None:
        from graphs.policies.vllm_tokens import VLLMTokenPolicy

        url, self._key = part.urls[process % len(part.urls)], read_settings().secret()
        self._policy = policy = VLLMTokenPolicy(
            url,
            checkpoint=checkpoint,
            model=part.model,
            api_key=self._key,
            coalesce=part.coalesce,
            branch=part.branch,
        )
        self.policy: Policy = policy
        self.chatml = policy.chatml
        self._part, self._checkpoint, self._served, self._dtype = part, checkpoint, served, dtype
        self._step: int | None = None  # what a server holds before the first update is not known

    def update(self, trainer: Any) -> None:
        """Write the weights where the servers can read them, and have them read; not twice for the same step."""
        if trainer.state.global_step == self._step:
            return
        self._step = trainer.state.global_step
        save_trained(trainer, self._served, self._checkpoint, dtype=self._dtype)
        if trainer.accelerator.is_main_process:
            servers = [ServerWeights(url, api_key=self._key) for url in self._part.urls]
            asyncio.run(_update_all(servers, self._served))
        trainer.accelerator.wait_for_everyone()
        self._policy.forget()


async def _update_all(servers: Sequence[ServerWeights], folder: Path) -> None:
    await asyncio.gather(*(server.update(folder) for server in servers))
    await asyncio.gather(*(server.close() for server in servers))


class OnlineRows:
    """Rows that are rolled out when they are asked for."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __len__(self) -> int:
        return len(self._runner.source)

    def run(self, wanted: Sequence[tuple[int, int]]) -> list[TrainingRow | None]:
        """Roll out; see `RowSource`."""
        return [None if rollout is None else rollout.row() for rollout in self._runner.run(wanted)]


class NoSampler:
    """Sample nothing: for training on records alone."""

    exact = True

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.policy: Policy = ReplayPolicy(())
        vision = model.config.vision_config
        cell = int(vision.patch_size) * int(vision.spatial_merge_size)
        self.chatml = ChatML(lambda text: list(tokenizer.encode(text, add_special_tokens=False)), cell=cell)

    def update(self, trainer: Any) -> None:
        """Do nothing."""


def open_sampler(recipe: GRPORecipe, checkpoint: str, model: Any, tokenizer: Any, out: Path, process: int) -> Sampler:
    """Return the recipe's sampler; InputError where it does not fit the model or the machine."""
    if not recipe.samples:
        return NoSampler(model, tokenizer)
    if recipe.sampler.urls:
        served = out.absolute() / "served"
        return VLLMSampler(recipe.sampler, checkpoint, served, process, getattr(torch, recipe.dtype))
    if model.config.model_type != "qwen3_vl":
        raise InputError(
            f"a {model.config.model_type} model is not sampled in process.",
            remedy="Serve it with vLLM and name the servers under [sampler] urls.",
        )
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true":
        raise InputError(
            "a sharded model is not sampled in process.",
            remedy="Serve the policy with vLLM and name the servers under [sampler] urls.",
        )
    return InProcessSampler(model, tokenizer, recipe.name)
