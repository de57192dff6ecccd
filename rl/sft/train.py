"""Train the embedded policy from random weights: perception first, then trajectories with observations masked.

    segscout rl sft embedded-sft --out runs/policy

One GPU is enough; `torchrun --nproc-per-node N -m rl.sft.train embedded-sft …` divides the rows of every batch among
several, each of which draws its own. A killed run goes on where its last checkpoint stands when the same command is
given again, with the batches that it had not seen. (torchrun takes --start for an option of its own: name the
checkpoint to begin with as `policy` in the recipe.)
"""

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor

from graphs.dialects.seg_research import SegResearch
from graphs.profiles import get_profile
from rl.checkpoints import save_policy
from rl.devices import choose_kind
from rl.run_folder import check_folder, claim_folder, tell_finished
from rl.sft.batches import Batch, Shape
from rl.sft.crew import Crew
from rl.sft.loss import CoordinateLoss, Scores
from rl.sft.model import FastPolicy, make_policy
from rl.sft.optimizers import Optimizers
from rl.sft.recipe import Recipe, Stage, load_recipe
from rl.sft.start import copy_tokenizer, load_start
from rl.sft.streams import Share, Stream, loader
from rl.sft.tokenizer import NUMBERS, coordinate_openers, save_tokenizer, special_ids, token_id, train_tokenizer
from rl.sft.trajectories import MIX
from rl.sft.vocabulary import sample_texts
from tools.errors import SegscoutError

log = logging.getLogger("segscout.sft")

LOG, DONE, RESUME = "log.jsonl", "done.json", "resume.pt"


class Trainer:
    """Hold the model, its optimizers and where the run stands."""

    def __init__(self, recipe: Recipe, out: Path, crew: Crew) -> None:
        self.recipe, self.out, self.crew, self.device = recipe, out, crew, crew.device
        device = crew.device
        dialect = get_profile("embedded").make_dialect()
        assert isinstance(dialect, SegResearch)
        self.dialect = dialect
        self.tokenizer = self._tokenizer()
        ids = special_ids(self.tokenizer)
        self.model = make_policy(recipe.size, ids, recipe.vocabulary, recipe.seed).to(device)
        self.fast = FastPolicy(self.model, compiled=device.type == "cuda")
        self.pad = ids["<|endoftext|>"]
        opens = coordinate_openers(self.tokenizer)
        numbers = [token_id(self.tokenizer, number) for number in NUMBERS]
        self.loss = CoordinateLoss(numbers, opens, recipe.vocabulary, recipe.sigma, device)
        self.history: list[dict[str, Any]] = []
        self.stage, self.step, self.spent = 0, 0, 0.0
        self.optimizers = Optimizers(self.model, recipe.matrix_optimizer, recipe.weight_decay)

    def _tokenizer(self) -> Tokenizer:
        folder = self.out / "policy"
        if self.crew.leads and not (folder / "tokenizer.json").exists():
            if self.recipe.policy:
                copy_tokenizer(Path(self.recipe.policy), folder)
            else:
                log.info("training the tokenizer")
                save_tokenizer(train_tokenizer(sample_texts(self.recipe.seed), self.recipe.vocabulary), folder)
        self.crew.agree(0.0)  # nobody reads the file before it is written
        return Tokenizer.from_file(str(folder / "tokenizer.json"))

    def run(self, start: Mapping[str, Tensor] | None) -> None:
        """Run the stages that are left, saving as it goes; a fresh run takes the weights `start`, if given."""
        if not self._resume() and start is not None:
            self.model.load_state_dict(start)
        if self.crew.leads:  # what lay beyond the checkpoint is made anew
            (self.out / LOG).write_text("".join(json.dumps(line) + "\n" for line in self.history), encoding="utf-8")
        while self.stage < len(self.recipe.stages):
            self._run_stage(self.recipe.stages[self.stage])
            self.stage, self.step, self.spent = self.stage + 1, 0, 0.0
            self.optimizers = Optimizers(self.model, self.recipe.matrix_optimizer, self.recipe.weight_decay)
            self.save()
        if self.crew.leads:
            (self.out / DONE).write_text(json.dumps(self.history) + "\n", encoding="utf-8")

    def _run_stage(self, stage: Stage) -> None:
        log.info("stage %s: up to %d steps or %.1f minutes", stage.name, stage.steps, stage.minutes)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not (stage.freeze and name.startswith(stage.freeze)))
        size = self.crew.size
        slots = {side: count // size for side, count in stage.slots.items()}
        shape = Shape(stage.rows // size, stage.length, stage.trained, slots)
        held_out = [next(iter(self._batches(stage, shape, "val", 0))).to(self.device)]
        batches = self._batches(stage, shape, "train", self.step * size)
        began, saved, window = time.monotonic() - self.spent * 60, time.monotonic(), _Window()
        while True:
            self.spent = (time.monotonic() - began) / 60
            progress = self.crew.agree(max(self.step / stage.steps, self.spent / stage.minutes))
            if progress >= 1:
                break
            rate = self.optimizers.set_rate(stage.learning_rate, self.step, stage.warmup, progress)
            scores = self._train_step(next(batches).to(self.device))
            self.step += 1
            window.add(scores, stage.rows)
            if self.step % self.recipe.log_every == 0:
                line = window.summary() | {"stage": stage.name, "step": self.step, "rate": rate}
                if self.step % (10 * self.recipe.log_every) == 0:
                    line |= self._evaluate(held_out)
                self._note(line | {"minutes": self.spent})
                window = _Window()
            if time.monotonic() - saved > self.recipe.save_minutes * 60:
                self.save()
                saved = time.monotonic()
        self._note(self._evaluate(held_out) | {"stage": stage.name, "step": self.step, "minutes": self.spent})

    def _batches(self, stage: Stage, shape: Shape, split: str, first: int) -> Iterator[Batch]:
        tokens = self.out / "policy" / "tokenizer.json"
        seed = self.recipe.seed * 10 + self.recipe.stages.index(stage)
        share = Share(self.crew.rank, self.crew.size) if split == "train" else Share(0, 1)
        stream = Stream(
            stage.data,
            tokens,
            self.dialect,
            shape,
            "val" if split == "val" else "train",
            seed,
            first,
            stage.jitter,
            share,
            stage.mix or MIX,
            stage.careless,
            stage.chatter,
            stage.tied,
        )
        workers = max(1, self.recipe.workers // self.crew.size) if split == "train" else 0
        return iter(loader(stream, workers, pin=self.device.type == "cuda"))

    def _forward(self, batch: Batch) -> Scores:
        half = self.device.type == "cuda" or self.recipe.cpu_bfloat16
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            encoded = [self.fast.encode_pictures(images) for images in batch.images.values()]
            pictures = [torch.cat(layer) for layer in zip(*encoded, strict=True)]
            hidden = self.fast.hidden(batch.ids, batch.positions, batch.place, pictures)
            rows = torch.arange(len(batch.ids), device=hidden.device)[:, None]
            logits = self.model.lm_head(hidden[rows, batch.at]).flatten(0, 1)
        previous = batch.ids.gather(1, batch.at).flatten()
        return self.loss(logits, batch.targets.flatten(), previous)

    def _train_step(self, batch: Batch) -> Scores:
        self.model.train()
        scores = self._forward(batch)
        scores.loss.backward()  # type: ignore[no-untyped-call]
        self.crew.average(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizers.step()
        return scores

    @torch.no_grad()
    def _evaluate(self, batches: list[Batch]) -> dict[str, float]:
        self.model.eval()
        window = _Window()
        for batch in batches:
            window.add(self._forward(batch), len(batch.ids))
        return {f"held_out_{k}": v for k, v in window.summary().items() if k != "samples_per_second"}

    def _note(self, line: dict[str, Any]) -> None:
        self.history.append(line)
        if not self.crew.leads:
            return
        log.info(" ".join(f"{k}={v:.5g}" if isinstance(v, float) else f"{k}={v}" for k, v in line.items()))
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def save(self) -> None:
        """Write the weights as bf16 safetensors, and the state that a later run resumes from."""
        if not self.crew.leads:
            return
        save_policy(self.model, self.out / "policy")
        state = {
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state(),
            "stage": self.stage,
            "step": self.step,
            "spent": self.spent,
            "history": self.history,
        }
        torch.save(state, self.out / "resume.tmp")
        (self.out / "resume.tmp").replace(self.out / RESUME)
        note = {"recipe": self.recipe.model_dump(mode="json"), "torch": torch.__version__, "history": self.history}
        (self.out / "training.json").write_text(json.dumps(note) + "\n")

    def _resume(self) -> bool:
        if not (self.out / RESUME).exists():
            return False
        state = torch.load(self.out / RESUME, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizers.load(state["optimizers"])
        self.stage, self.step, self.spent = state["stage"], state["step"], state["spent"]
        self.history = state["history"]
        log.info("resumed in stage %d at step %d", self.stage, self.step)
        return True


class _Window:
    """Sum scores over some steps, on the device, so that no step waits for the host."""

    def __init__(self) -> None:
        self._sums: list[Tensor] = []
        self._samples, self._began = 0, time.monotonic()

    def add(self, scores: Scores, samples: int) -> None:
        values = (scores.loss, scores.right_words, scores.words, scores.near_numbers, scores.numbers)
        self._sums.append(torch.stack([value.detach().double() for value in values]))
        self._samples += samples

    def summary(self) -> dict[str, float]:
        total = torch.stack(self._sums).sum(0).cpu().numpy()
        loss, right, words, near, numbers = (float(v) for v in total)
        return {
            "loss": loss / len(self._sums),
            "words": right / max(words, 1.0),
            "coordinates": near / max(numbers, 1.0),
            "samples_per_second": self._samples / (time.monotonic() - self._began),
        }


def main(recipe: str, out: Path = Path("runs/policy"), device: str = "", start: Path | None = None) -> None:
    """Train the embedded policy by a recipe, a name or a .toml file; results land in OUT/policy.

    With `start`, the run begins with that checkpoint's weights and tokenizer instead of the recipe's. Where the same
    run has finished, nothing is done but to say so. Raises InputError for a recipe that is wrong and for a folder that
    holds a run of another, PolicyError if the checkpoint cannot be loaded; nothing has been written then.
    """
    chosen = load_recipe(recipe)
    if start is not None:
        chosen = chosen.model_copy(update={"policy": str(start)})
    check_folder(chosen, out)
    if (out / DONE).is_file():
        tell_finished(chosen.name, out)
        return
    kind = choose_kind(device)
    weights = load_start(chosen) if chosen.policy and not (out / RESUME).is_file() else None
    crew = Crew(kind)
    if crew.leads:
        claim_folder(chosen, out)
    out.mkdir(parents=True, exist_ok=True)
    _log_to(out / "train.log", logging.INFO if crew.leads else logging.WARNING)
    torch.set_float32_matmul_precision("high")
    Trainer(chosen, out, crew).run(weights)
    crew.leave()


def _log_to(file: Path, level: int) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(file)]
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", handlers=handlers)
    logging.getLogger("bm25s").setLevel(logging.WARNING)


if __name__ == "__main__":
    try:
        typer.run(main)
    except SegscoutError as error:
        sys.exit(str(error))
