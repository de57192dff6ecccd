"""Write a policy as a folder that every way of loading it understands."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SHARD = "12MB"
_BESIDES = ("*.json", "*.jinja")
_OWN = frozenset({"config.json", "model.safetensors.index.json", "training.json"})


def save_policy(model: Any, folder: Path, *, like: Path | None = None) -> None:
    """Write the weights as bfloat16 safetensors; tokenizer and templates are copied from the folder `like`.

    The output head is left out: it is tied to the token embeddings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, state_dict=_half(model.state_dict()), max_shard_size=SHARD)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "bfloat16"}, indent=1) + "\n")
    if like is not None and like.is_dir() and like != folder:
        for file in (file for pattern in _BESIDES for file in like.glob(pattern)):
            if file.name not in _OWN:
                shutil.copy(file, folder)


def _half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to(torch.bfloat16) for name, tensor in weights.items() if name != "lm_head.weight"}
