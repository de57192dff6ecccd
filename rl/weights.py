"""The weights of a trainer, whole, wherever they lie: copied to each process, sharded by FSDP, or beside an adapter."""

from pathlib import Path
from typing import Any

from peft import PeftModel
from torch import Tensor

from rl.checkpoints import save_policy


def save_trained(trainer: Any, folder: Path, like: str) -> None:
    """Write the policy that a trainer (of transformers or TRL) holds, adapters merged; every process calls it.

    `like` is the checkpoint that it began with, a folder or a hub id, whose tokenizer and sizes are copied.
    """
    weights = gather_weights(trainer)
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_policy(model.get_base_model() if isinstance(model, PeftModel) else model, folder, like, weights)
    trainer.accelerator.wait_for_everyone()


def gather_weights(trainer: Any) -> dict[str, Tensor]:
    """Return the whole weights, by the names they have without an adapter; the main process has all of them."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not isinstance(model, PeftModel):
        return dict(trainer.accelerator.get_state_dict(trainer.model))
    model.merge_adapter()
    whole = dict(trainer.accelerator.get_state_dict(trainer.model))
    merged = {_plain(name): tensor.detach().clone() for name, tensor in whole.items() if "lora_" not in name}
    model.unmerge_adapter()
    return merged


def _plain(name: str) -> str:
    return name.removeprefix("base_model.model.").replace(".base_layer.", ".")
