"""Supervised training of any Qwen-VL checkpoint, token by token, with TRL's SFTTrainer: what was said is imitated.

From records (good episodes of a policy, exactly as they were sampled) or from published demonstrations.
(`rl/sft/train.py` makes the embedded policy from nothing; this goes on from a checkpoint.)
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from transformers import AutoModelForImageTextToText, AutoTokenizer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from graphs.policies.chatml import ChatML
from rl.devices import choose_kind
from rl.pictures import Patches, load_patches, pixel_inputs
from rl.policy_names import find_checkpoint
from rl.recipes import RecipePart
from rl.records import RecordError, read_records
from rl.records.decode import to_row
from rl.records.invariants import check_read
from rl.rows import TrainingRow
from rl.run_folder import check_folder, claim_folder, tell_finished
from rl.run_log import RunLog
from rl.sft.demonstrations import DemonstrationRows
from rl.tasks.fcot import FCoTSource
from rl.weights import held_dtype, make_adapter, save_trained
from tools.errors import InputError, PolicyError, boundary

LOG, DONE = "log.jsonl", "done.json"
_IGNORED = -100
"""The label of tokens that are not learnt."""


class RecordsPart(RecipePart):
    """Good episodes to imitate: those worth at least `least_reward`, in the folder of records `data`."""

    data: Path = Path("runs/records")
    least_reward: float = 0.5


class DemonstrationsPart(RecipePart):
    """A published set of worked answers; pictures are fitted into `most_pixels`, keeping their shape."""

    source: str
    data: Path
    most_pixels: int
    n: int | None = None


class ImitationRecipe(RecipePart):
    """The whole run; `trl` holds fields of TRL's SFTConfig, `lora` those of PEFT's LoraConfig (none: all weights)."""

    name: str
    reproduces: str
    needs: str
    policy: str
    seed: int
    records: RecordsPart | None = None
    demonstrations: DemonstrationsPart | None = None
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    save_every: int = 0
    """Steps between checkpoints that a run which was cut off resumes from; 0 writes none."""
    lora: Mapping[str, Any] | None = None
    trl: Mapping[str, Any] = {}


def run(recipe: ImitationRecipe, out: Path, *, device: str | None = None) -> list[dict[str, float]]:
    """Train by a recipe, save to OUT/policy and log to OUT/log.jsonl; returns what was logged, step by step.

    Where the same recipe has finished, nothing is done but to say so, and what it logged is returned.

    Raises PolicyError if the checkpoint cannot be loaded, RecordError if there is nothing to imitate, InputError for
    a recipe that names neither records nor demonstrations or does not fit TRL or PEFT, a data set that is missing, and
    a folder that holds a run of another recipe.
    """
    config = make_config(recipe, out, device)
    adapter = make_adapter(recipe.name, recipe.lora)
    check_folder(recipe, out)
    if (out / DONE).is_file() and (out / "policy" / "config.json").is_file():
        tell_finished(recipe.name, out)
        done: list[dict[str, float]] = json.loads((out / DONE).read_text(encoding="utf-8"))
        return done
    policy = find_checkpoint(recipe.policy, needs=recipe.needs)
    with boundary(PolicyError, f"loading {policy} failed", remedy="Check the folder or the hub id."):
        dtype = held_dtype(recipe.dtype, recipe.lora)
        model = AutoModelForImageTextToText.from_pretrained(policy, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(policy)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    vision = model.config.vision_config
    chatml = ChatML(encode, cell=int(vision.patch_size) * int(vision.spatial_merge_size))
    rows = read_rows(recipe, chatml)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list([{"row": place} for place in range(len(rows))]),
        processing_class=tokenizer,
        data_collator=Collator(rows, chatml, tokenizer.pad_token_id or 0, load_patches(policy)),
        peft_config=adapter,
    )
    last = get_last_checkpoint(config.output_dir) if recipe.save_every and Path(config.output_dir).is_dir() else None
    if trainer.is_world_process_zero():
        claim_folder(recipe, out)
    trainer.accelerator.wait_for_everyone()
    trainer.add_callback(Log(RunLog(out / LOG)))
    trainer.train(resume_from_checkpoint=last)
    save_trained(trainer, out / "policy", policy)
    history: list[dict[str, float]] = trainer.state.log_history
    if trainer.is_world_process_zero():
        (out / DONE).write_text(json.dumps(history) + "\n", encoding="utf-8")
    return history


def make_config(recipe: ImitationRecipe, out: Path, device: str | None) -> SFTConfig:
    """Return TRL's configuration; InputError names the field that does not fit."""
    with boundary(InputError, f"{recipe.name}: [trl] does not fit TRL's SFTConfig", remedy="Check its fields."):
        return SFTConfig(
            output_dir=str(out / "trainer"), seed=recipe.seed, report_to="none", logging_steps=1, max_length=None,
            remove_unused_columns=False, dataset_kwargs={"skip_prepare_dataset": True}, disable_tqdm=True,
            use_cpu=choose_kind(device) == "cpu", bf16=recipe.dtype == "bfloat16",
            save_strategy="steps" if recipe.save_every else "no", save_steps=recipe.save_every or 500, **recipe.trl,
        )  # fmt: skip


class Log(TrainerCallback):  # type: ignore[misc]
    """Write what a trainer logs."""

    def __init__(self, log: RunLog) -> None:
        self._log = log

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin the log, or go on with it."""
        if state.is_world_process_zero:
            self._log.begin(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        """Write a line."""
        if state.is_world_process_zero and logs:
            self._log.write({"step": state.global_step, **logs})


def read_rows(recipe: ImitationRecipe, chatml: ChatML) -> Sequence[TrainingRow]:
    """Return what a recipe imitates.

    Raises RecordError if no episode is worth it or one contradicts itself, InputError if the recipe names nothing.
    """
    if recipe.demonstrations is not None:
        part = recipe.demonstrations
        if part.source != "fcot":
            raise InputError(f"there are no demonstrations named {part.source!r}.", remedy="Use fcot.")
        return DemonstrationRows(FCoTSource(part.data, n=part.n), chatml, part.most_pixels)
    if recipe.records is None:
        raise InputError(f"{recipe.name} imitates nothing.", remedy="Give it [records] or [demonstrations].")
    folder, least = recipe.records.data, recipe.records.least_reward
    records = map(check_read, read_records(folder))
    good = (record for record in records if record["status"] == "ok" and record["reward"] >= least)
    rows = [to_row(record, folder) for record in good]
    if not rows:
        raise RecordError(f"no episode in {folder} is worth {least:g}.", remedy="Lower least_reward, or record more.")
    return rows


class Collator:
    """Lay rows out for the model; rows are named by their place, since datasets would copy pictures about."""

    def __init__(self, rows: Sequence[TrainingRow], chatml: ChatML, pad: int, patches: Patches | None = None) -> None:
        self._rows, self._chatml, self._pad, self._patches = rows, chatml, pad, patches

    def __call__(self, places: Sequence[dict[str, int]]) -> dict[str, torch.Tensor]:
        """Return input_ids, attention_mask, labels, mm_token_type_ids (rows, length) and the pictures, in token order.

        Raises StreamError for a row whose pictures and image tokens do not belong together.
        """
        rows = [self._rows[place["row"]] for place in places]
        pixels = pixel_inputs(rows, self._chatml, patches=self._patches)
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
