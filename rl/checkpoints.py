"""Write a policy as a folder that every way of loading it understands."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoProcessor

from tools.errors import PolicyError, boundary

Weights = Mapping[str, Tensor]
SHARD = "12MB"
"""What a small policy is cut into, so that it may live in a repository."""
_SMALL = 100_000_000
_BESIDES = ("*.json", "*.jinja")
_OWN = frozenset({"config.json", "model.safetensors.index.json", "training.json"})


def save_policy(
    model: Any,
    folder: Path,
    like: str | Path | None = None,
    weights: Weights | None = None,
    *,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Write the weights as safetensors of `dtype`, with the tokenizer, templates and sizes of the checkpoint `like`.

    `like` is a folder or a hub id; `weights` replace the model's own (where it holds only a part of them). An output
    head that is tied to the token embeddings is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tied = bool(getattr(model.config, "tie_word_embeddings", False))
    kept = _keep(weights or model.state_dict(), tied, dtype)
    model.save_pretrained(folder, state_dict=kept, max_shard_size=_shard(model))
    config = folder / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"dtype": str(dtype).removeprefix("torch.")}, indent=1) + "\n"
    )
    if like is None or Path(like) == folder:
        return
    if not Path(like).is_dir():
        with boundary(PolicyError, f"loading {like} failed", remedy="Check the hub id."):
            AutoProcessor.from_pretrained(like).save_pretrained(folder)
        return
    for file in (file for pattern in _BESIDES for file in Path(like).glob(pattern)):
        if file.name not in _OWN:
            shutil.copy(file, folder)


def _keep(weights: Weights, tied: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    kept = {name: tensor for name, tensor in weights.items() if not (tied and name == "lm_head.weight")}
    return {name: tensor.detach().to(dtype) for name, tensor in kept.items()}


def _shard(model: Any) -> str:
    return SHARD if model.num_parameters() < _SMALL else "5GB"
