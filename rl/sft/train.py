"""Train the embedded policy from random weights: perception first, then trajectories with observations masked.

    segscout rl sft embedded-sft --out runs/policy

One GPU is enough; `torchrun --nproc-per-node N -m rl.sft.train embedded-sft …` shares the same batches among several. A
killed run goes on where its last checkpoint stands when the same command is given again.
"""

import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor

from evals.emblems.tasks import Ability
from graphs.dialects.seg_research import SegResearch
from graphs.profiles import get_profile
from rl.checkpoints import save_policy
from rl.recipes import find_recipe, read_toml
from rl.sft.batches import Batch, Shape
from rl.sft.chatter import SILENCE, Chatter
from rl.sft.crew import Crew
from rl.sft.loss import CoordinateLoss, Scores
from rl.sft.model import FastPolicy, PolicySize, make_policy
from rl.sft.optimizers import Optimizers
from rl.sft.streams import Share, Stream, loader
from rl.sft.tokenizer import NUMBERS, SPECIAL, coordinate_openers, save_tokenizer, token_id, train_tokenizer
from rl.sft.trajectories import CAREFUL, MIX, Carelessness
from rl.sft.vocabulary import sample_texts
from tools.errors import SegscoutError

log = logging.getLogger("segscout.sft")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: its data, its length (steps, or minutes if they end first) and its learning rate.

    `rows` and `slots` are those of a whole batch; several processes share it. `jitter` shifts coordinates by up to so
    many units; `freeze` names the part of the model ("" for none) that keeps its weights; `mix` says how often
    trajectories of each ability are drawn (all as in `trajectories.MIX` if it is empty), `careless` how often their
    demonstrator errs, `chatter` how often strangers speak in what is found, and `tied` how often the words fit several
    objects.
    """

    name: str
    data: str
    steps: int
    minutes: float
    learning_rate: float
    warmup: int
    rows: int
    length: int
    trained: int
    slots: dict[int, int]
    jitter: int = 0
    freeze: str = ""
    mix: dict[Ability, float] = field(default_factory=dict)
    careless: Carelessness = CAREFUL
    chatter: Chatter = SILENCE
    tied: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole run, as its TOML file states it."""

    name: str
    reproduces: str
    needs: str
    seed: int
    vocabulary: int
    sigma: float
    workers: int
    matrix_optimizer: str
    weight_decay: float
    log_every: int
    save_minutes: float
    size: PolicySize
    cpu_bfloat16: bool = False
    """Compute in bfloat16 on a CPU, too; it pays where the CPU multiplies such numbers itself."""
    stages: tuple[Stage, ...]

    @staticmethod
    def load(path: Path) -> "Recipe":
        """Read a recipe file."""
        raw = read_toml(path)
        stages = tuple(
            Stage(
                **{
                    **stage,
                    "slots": {int(side): count for side, count in stage["slots"].items()},
                    "careless": Carelessness(**stage.get("careless", {})),
                    "chatter": Chatter(**stage.get("chatter", {})),
                }
            )
            for stage in raw.pop("stages")
        )
        size = raw.pop("size", {})
        if "deepstack" in size:
            size["deepstack"] = tuple(size["deepstack"])
        return Recipe(**raw, size=PolicySize(**size), stages=stages)


class Trainer:
    """Hold the model, its optimizers and where the run stands."""

    def __init__(self, recipe: Recipe, out: Path, crew: Crew) -> None:
        self.recipe, self.out, self.crew, self.device = recipe, out, crew, crew.device
        device = crew.device
        dialect = get_profile("embedded").make_dialect()
        assert isinstance(dialect, SegResearch)
        self.dialect = dialect
        self.tokenizer = self._tokenizer()
        ids = {token: token_id(self.tokenizer, token) for token in SPECIAL}
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
            log.info("training the tokenizer")
            save_tokenizer(train_tokenizer(sample_texts(self.recipe.seed), self.recipe.vocabulary), folder)
        self.crew.agree(0.0)  # nobody reads the file before it is written
        return Tokenizer.from_file(str(folder / "tokenizer.json"))

    def run(self, start: Path | None) -> None:
        """Run the stages that are left, saving as it goes; a fresh run takes the weights of `start`, if given."""
        if not self._resume() and start is not None:
            self.model.load_state_dict(type(self.model).from_pretrained(start, dtype=torch.float32).state_dict())
        while self.stage < len(self.recipe.stages):
            self._run_stage(self.recipe.stages[self.stage])
            self.stage, self.step, self.spent = self.stage + 1, 0, 0.0
            self.optimizers = Optimizers(self.model, self.recipe.matrix_optimizer, self.recipe.weight_decay)
            self.save()

    def _run_stage(self, stage: Stage) -> None:
        log.info("stage %s: up to %d steps or %.1f minutes", stage.name, stage.steps, stage.minutes)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not (stage.freeze and name.startswith(stage.freeze)))
        size = self.crew.size
        slots = {side: count // size for side, count in stage.slots.items()}
        shape = Shape(stage.rows // size, stage.length, stage.trained, slots)
        held_out = [next(iter(self._batches(stage, shape, "val", 0))).to(self.device)]
        batches = self._batches(stage, shape, "train", self.step)
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
        with (self.out / "log.jsonl").open("a") as file:
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
        (self.out / "resume.tmp").replace(self.out / "resume.pt")
        note = {"recipe": asdict(self.recipe), "torch": torch.__version__, "history": self.history}
        (self.out / "training.json").write_text(json.dumps(note) + "\n")

    def _resume(self) -> bool:
        if not (self.out / "resume.pt").exists():
            return False
        state = torch.load(self.out / "resume.pt", map_location=self.device, weights_only=True)
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


RECIPES = Path(__file__).parent / "recipes"


def main(recipe: str, out: Path = Path("runs/policy"), device: str = "", start: Path | None = None) -> None:
    """Train the embedded policy by a recipe, a name or a .toml file; results land in OUT/policy.

    With `start`, the run begins with that checkpoint's weights and tokenizer instead of random weights.
    """
    chosen = Recipe.load(find_recipe(recipe, RECIPES))
    out.mkdir(parents=True, exist_ok=True)
    crew = Crew(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    logging.basicConfig(
        level=logging.INFO if crew.leads else logging.WARNING,
        format="%(asctime)s %(message)s",
        handlers=[logging.StreamHandler(), logging.FileHandler(out / "train.log")],
    )
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    if start is not None and crew.leads:
        (out / "policy").mkdir(exist_ok=True)
        for beside in [*start.glob("*.json*"), *start.glob("*.jinja")]:
            shutil.copy(beside, out / "policy")
    Trainer(chosen, out, crew).run(start)
    crew.leave()


if __name__ == "__main__":
    try:
        typer.run(main)
    except SegscoutError as error:
        sys.exit(str(error))
