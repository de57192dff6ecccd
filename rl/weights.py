"""The weights of a trainer, whole, wherever they lie: copied to each process, sharded by FSDP, or beside an adapter."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from torch import Tensor

from rl.checkpoints import save_policy
from tools.errors import InputError, boundary

_BASE, _A, _B = ".base_layer.weight", ".lora_A.default.weight", ".lora_B.default.weight"


def held_dtype(dtype: str, lora: Mapping[str, Any] | None) -> torch.dtype:
    """Return in which numbers a model's weights are held while it is trained with `dtype` ("bfloat16", "float32").

    Weights that are trained are held in 32 bits, since a step of 1e-6 is lost in 16; under an adapter they are not
    trained.
    """
    return torch.float32 if lora is None else getattr(torch, dtype)


def make_adapter(name: str, lora: Mapping[str, Any] | None) -> LoraConfig | None:
    """Return PEFT's configuration of an adapter, if any; InputError names the field of recipe `name` that is wrong."""
    with boundary(InputError, f"{name}: [lora] does not fit PEFT's LoraConfig", remedy="Check its fields."):
        return None if lora is None else LoraConfig(**lora)


def save_trained(trainer: Any, folder: Path, like: str, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the policy that a trainer (of transformers or TRL) holds, adapters merged; every process calls it.

    `like` is the checkpoint that it began with, a folder or a hub id, whose tokenizer and sizes are copied. The folder
    appears whole or not at all.
    """
    weights = gather_weights(trainer)
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        whole = model.get_base_model() if isinstance(model, PeftModel) else model
        save_policy(whole, part, like, weights, dtype=dtype)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    trainer.accelerator.wait_for_everyone()


def gather_weights(trainer: Any) -> dict[str, Tensor]:
    """Return the whole weights, by the names they have without an adapter; the main process has all of them."""
    whole = dict(trainer.accelerator.get_state_dict(trainer.model))
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not isinstance(model, PeftModel):
        return whole
    scaling = {name: float(module.scaling["default"]) for name, module in model.named_modules()
               if isinstance(getattr(module, "scaling", None), dict)}  # fmt: skip
    return merge_adapter(whole, scaling)


def merge_adapter(whole: Mapping[str, Tensor], scaling: Mapping[str, float]) -> dict[str, Tensor]:
    """Return base weights with low-rank updates added, W + scaling * B A, computed in 32 bits, in the dtype of W.

    The base stays as it is: merging into it and taking the update out again moves 16-bit weights a little each time.
    `scaling` is by the name of the adapted layer.
    """
    merged = {}
    for name, weight in whole.items():
        if "lora_" in name:
            continue
        layer = name.removesuffix(_BASE)
        if layer != name and layer + _A in whole:
            update = whole[layer + _B].float() @ whole[layer + _A].float()
            weight = (weight.float() + scaling[layer] * update.to(weight.device)).to(weight.dtype)
        merged[plain_name(name)] = weight
    return merged


def plain_name(name: str) -> str:
    """Return the name that a weight has without an adapter around it."""
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")
