"""Supervised training on records, token by token: what was sampled is learnt as it was sampled, never rendered again.

For any Qwen3-VL checkpoint, with TRL's SFTTrainer; `python -m rl.sft.records CHECKPOINT --records DIR --out DIR`.
(`rl/sft/train.py` makes the embedded policy from nothing; this goes on from a checkpoint.)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from datasets import Dataset
from transformers import AutoModelForImageTextToText, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from graphs.policies.chatml import ChatML
from rl.checkpoints import save_policy
from rl.pictures import pixel_inputs
from rl.records import RecordError, read_records
from rl.records.decode import to_row
from rl.rows import TrainingRow
from tools.devices import choose_device
from tools.errors import PolicyError, boundary

_IGNORED = -100
"""The label of tokens that are not learnt."""


def read_rows(folder: Path, *, least_reward: float) -> list[TrainingRow]:
    """Return the rows worth imitating: answered, and worth at least `least_reward`; RecordError if there are none."""
    rows = [
        to_row(record, folder)
        for record in read_records(folder)
        if record["status"] == "ok" and record["reward"] >= least_reward
    ]
    if not rows:
        raise RecordError(
            f"no episode in {folder} is worth {least_reward:g}.", remedy="Lower --least-reward, or record more."
        )
    return rows


class Collator:
    """Lay rows out for the model; rows are named by their place, since datasets would copy pictures about."""

    def __init__(self, rows: Sequence[TrainingRow], chatml: ChatML, pad: int) -> None:
        self._rows, self._chatml, self._pad = rows, chatml, pad

    def __call__(self, places: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask, labels, mm_token_type_ids (rows, length) and the pictures, in token order.

        Raises StreamError for a row whose pictures and image tokens do not belong together.
        """
        rows = [self._rows[place["row"]] for place in places]
        pixels = pixel_inputs(rows, self._chatml)
        length = max(len(row.stream.ids) for row in rows)
        ids = torch.full((len(rows), length), self._pad)
        labels = torch.full((len(rows), length), _IGNORED)
        attended = torch.zeros((len(rows), length), dtype=torch.long)
        for number, row in enumerate(rows):
            own, size = torch.tensor(row.stream.ids), len(row.stream.ids)
            ids[number, :size], attended[number, :size] = own, 1
            labels[number, :size] = torch.where(torch.tensor(row.stream.mask).bool(), own, _IGNORED)
        return {
            "input_ids": ids,
            "attention_mask": attended,
            "labels": labels,
            "mm_token_type_ids": ((ids == self._chatml.image_pad) & attended.bool()).long(),
            **pixels,
        }


def train_on_records(
    checkpoint: str, rows: Sequence[TrainingRow], out: Path, *, device: str | None = None, **settings: Any
) -> list[dict[str, float]]:
    """Train a checkpoint on rows and save it to OUT/policy; returns what was logged, step by step.

    `settings` are fields of TRL's SFTConfig. Raises PolicyError if the checkpoint cannot be loaded.
    """
    chosen = choose_device(device)
    with boundary(PolicyError, f"loading {checkpoint} failed", remedy="Check the folder or the hub id."):
        model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    vision = model.config.vision_config
    chatml = ChatML(encode, cell=int(vision.patch_size) * int(vision.spatial_merge_size))
    values = {
        "output_dir": str(out / "trainer"), "report_to": "none", "save_strategy": "no", "logging_steps": 1,
        "remove_unused_columns": False, "dataset_kwargs": {"skip_prepare_dataset": True}, "max_length": None,
        "use_cpu": chosen.type == "cpu", "bf16": chosen.type == "cuda", "gradient_checkpointing": False,
        "disable_tqdm": True,
    }  # fmt: skip
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**{**values, **settings}),
        train_dataset=Dataset.from_list([{"row": place} for place in range(len(rows))]),
        processing_class=tokenizer,
        data_collator=Collator(rows, chatml, tokenizer.pad_token_id or 0),
    )
    trainer.train()
    save_policy(model, out / "policy", like=checkpoint)
    history: list[dict[str, float]] = trainer.state.log_history
    return history


def main(
    checkpoint: Annotated[str, typer.Argument(help="A Qwen3-VL checkpoint: folder or hub id.")],
    records: Annotated[Path, typer.Option(help="A folder of records.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights.")] = Path("runs/sft"),
    least_reward: Annotated[float, typer.Option(help="Only episodes worth this much are imitated.")] = 0.5,
    epochs: Annotated[float, typer.Option(help="Passes over the records.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-5,
    batch: Annotated[int, typer.Option(help="Episodes a step on each device.")] = 4,
    seed: Annotated[int, typer.Option(help="Decides the order.")] = 0,
    device: Annotated[str, typer.Option(help="cuda, cpu; default: the first GPU.")] = "",
) -> None:
    """Go on training a checkpoint on recorded episodes."""
    rows = read_rows(records, least_reward=least_reward)
    train_on_records(
        checkpoint, rows, out, device=device or None, num_train_epochs=epochs, learning_rate=rate,
        per_device_train_batch_size=batch, seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
