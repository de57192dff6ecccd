"""Run by accelerate from a test: one GRPO step from records and then a recipe, in as many processes as there are.

Where accelerate's file asks for FSDP the model is sharded, on the CPU too, and the recipe needs a server that samples.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration
from trl import GRPOConfig

from graphs.policies.batching import BatchingPolicy
from rl.grpo.recipe import GRPORecipe
from rl.grpo.train import run
from rl.grpo.trainer import GraphGRPOTrainer
from rl.records.decode import RecordedRows
from rl.rows import RowSource
from rl.weights import gather_weights, save_trained

GROUP = 4


def train_once(
    policy: Path, rows: RowSource, out: Path, *, per_device: int, refills: int = 0, **settings: object
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """One optimizer step on two groups of four; returns the whole weights after it, and what was logged."""
    torch.set_num_threads(1)
    model = Qwen3VLForConditionalGeneration.from_pretrained(policy, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(policy)
    values: dict[str, object] = {
        "output_dir": str(out), "seed": 1, "report_to": "none", "save_strategy": "no", "use_cpu": True, "bf16": False,
        "disable_tqdm": True, "logging_steps": 1, "num_generations": GROUP, "per_device_train_batch_size": per_device,
        "gradient_accumulation_steps": 1, "max_steps": 1, "learning_rate": 1e-3, "lr_scheduler_type": "constant",
        "gradient_checkpointing": False, "max_completion_length": 1024, "beta": 0.0, "optim": "sgd",
    }  # fmt: skip
    trainer = GraphGRPOTrainer(
        model, rows, BatchingPolicy(model, tokenizer).chatml, GRPOConfig(**{**values, **settings}),
        tokenizer=tokenizer, seed=1, parity_alarm=1e-4, refills=refills,
    )  # fmt: skip
    trainer.train()
    logged = trainer.state.log_history[0] | {"sharded": isinstance(next(trainer.model.parameters()), DTensor)}
    if logged["sharded"]:
        save_trained(trainer, out / "policy", str(policy), dtype=torch.float32)
    return {name: tensor.detach().clone() for name, tensor in gather_weights(trainer).items()}, logged


def shard_on_cpus() -> None:
    """Have accelerate shard over gloo as it does over GPUs: it does not ask for FSDP where all devices are CPUs."""
    begin = PartialState.__init__

    def begin_as_gpus(self: PartialState, *args: Any, **settings: Any) -> None:
        begin(self, *args, **settings)
        if self.distributed_type is DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = begin_as_gpus  # type: ignore[method-assign]


if __name__ == "__main__":
    folder, records, out = (Path(argument) for argument in sys.argv[1:])
    sharded = os.environ.get("ACCELERATE_USE_FSDP") == "true"
    if sharded:
        shard_on_cpus()
    weights, logged = train_once(folder, RecordedRows.open(records, group=GROUP), out, per_device=GROUP)
    assert logged["sharded"] == sharded
    if os.environ.get("RANK", "0") == "0":
        torch.save(weights, out / "weights.pt")
    run(GRPORecipe.model_validate_json((out / "recipe.json").read_text()), out / "recipe", device="cpu")
