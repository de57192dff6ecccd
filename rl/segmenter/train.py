"""Train the small SAM 2: `python -m rl.segmenter.train CONFIG.toml --out DIR`.

Writes to DIR: config.json and model.safetensors (moving average, bfloat16, transformers layout), training.json (what
was done and measured), log.jsonl (progress), checkpoint.pt (everything needed to go on). A run that was killed goes on
from its checkpoint when the same command is given again; the time already spent counts.
"""

import argparse
import dataclasses
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Model

from rl.segmenter.batches import Batch, BatchMaker
from rl.segmenter.evaluation import held_out_iou
from rl.segmenter.lean import make_lean
from rl.segmenter.loader import Feeder, SceneStream, render
from rl.segmenter.losses import Losses, mask_losses
from rl.segmenter.model import build_model, count_parameters, decode, encode, save_model
from rl.segmenter.optimise import MovingAverage, build_optimiser, schedule
from rl.segmenter.pool import ScenePool
from rl.segmenter.settings import Settings, read_settings
from tools.errors import InputError

log = logging.getLogger(__name__)
HELD_OUT_SEED = 999_999_937


class Trainer:
    """One training run: its model, optimisers, scenes and clock."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self.settings, self.out = settings, out
        out.mkdir(parents=True, exist_ok=True)
        checkpoint = out / "checkpoint.pt"
        resumed = checkpoint.exists()
        # New seeds after a restart: no scene is rendered twice.
        seed = settings.data.seed + (1 + int(checkpoint.stat().st_mtime) % 9973 if resumed else 0)
        self.feeder = Feeder(SceneStream(seed, emblem_share=settings.data.emblem_share), settings.data.workers)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.set_float32_matmul_precision("high")
        self.model = build_model(settings.model, seed=settings.run.seed, window=settings.data.window).to(self.device)
        make_lean(self.model)
        self.average = MovingAverage(self.model, settings.optimiser.ema)
        self.optimiser = build_optimiser(self.model, settings.optimiser, fused=self.device.type == "cuda")
        self.pool = ScenePool(settings.data.pool, self.device)
        self.held_out = ScenePool(settings.run.held_out, self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.step, self.spent, self.views = 0, 0.0, 0
        self.scores: dict[str, float] = {}
        self.rendered_before = 0
        if resumed:
            self._resume(checkpoint)
        if settings.optimiser.compile:
            _compile_blocks(self.model)

    def run(self) -> None:
        """Train until the steps or the minutes are used up, then evaluate and save."""
        settings = self.settings.optimiser
        maker = BatchMaker(
            self.pool, size=self.settings.model.image_size, window=self.settings.data.window, generator=self.generator
        )
        self.feeder.fill(self.pool, self.settings.data.pool_least)
        log.info("training starts: %d weights on %s", count_parameters(self.model), self.device)
        clock = _Clock(self.spent)
        last = {"log": 0.0, "evaluate": clock.now(), "save": clock.now()}
        while (progress := max(clock.now() / (60 * settings.minutes), self.step / settings.steps)) < 1:
            self._feed()
            share = schedule(self.step, progress, settings.warmup)
            for group in self.optimiser.param_groups:
                group["lr"] = settings.rate * share
            losses = self._descend(maker.draw(settings.batch))
            self.step += 1
            self.views += settings.batch
            self.spent = clock.now()
            if self.spent - last["log"] >= self.settings.run.log_every or self.step == 1:
                self._log(losses, share)
                last["log"] = self.spent
            if self.spent - last["evaluate"] >= self.settings.run.evaluate_every:
                self._evaluate()
                last["evaluate"] = self.spent
            if self.spent - last["save"] >= self.settings.run.save_every:
                self._save()
                last["save"] = self.spent
        self._evaluate()
        self._save()
        self.feeder.close()

    def _feed(self) -> None:
        """Take in what has been rendered; wait for more if each target has been looked at often enough."""
        self.feeder.top_up(self.pool)
        limit = self.settings.data.most_views
        while limit and self.views > limit * self.pool.targets:
            self.feeder.fill(self.pool, self.pool.rendered + 1)

    def _descend(self, batch: Batch) -> Losses:
        """Take one step; return the losses of the box prompts."""
        self.model.train()
        first: Losses | None = None
        total = torch.zeros((), device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            features = encode(self.model, batch.pixels)
            for group in batch.groups:
                part = slice(group.start, group.stop)
                found = decode(self.model, [f[part] for f in features], group.points, group.labels)
                losses = mask_losses(*found, batch.target[part])
                total = total + losses.total * ((group.stop - group.start) / len(batch.pixels))
                first = first or losses
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimiser.clip)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.update(self.model, self.step)
        assert first is not None
        return first

    def _log(self, losses: Losses, share: float) -> None:
        entry = {
            "step": self.step,
            "seconds": round(self.spent, 1),
            "loss": round(losses.total.item(), 4),
            "box_iou": round(losses.single_iou.item(), 4),
            "picked_iou": round(losses.picked_iou.item(), 4),
            "rate": round(share, 4),
            "crops_per_s": round(self.views / max(self.spent, 1e-6)),
            "scenes": self.rendered_before + self.pool.rendered,
            "scenes_per_s": round(self.pool.rendered / max(self.spent, 1e-6)),
            "views_per_target": round(self.views / max(self.pool.targets, 1), 2),
        }
        log.info(json.dumps(entry))
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _evaluate(self) -> None:
        settings = self.settings
        if self.held_out.rendered == 0:
            self.held_out.add(render(HELD_OUT_SEED, settings.run.held_out, emblem_share=0.4))
            self.held_out.refresh()
        self.average.swap(self.model)
        self.model.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            self.scores = held_out_iou(
                self.model, self.held_out, size=settings.model.image_size, window=settings.data.window
            )
        self.average.swap(self.model)
        log.info("held out: %s", json.dumps(self.scores))

    def _save(self) -> None:
        """Write weights, report and checkpoint, each under another name first, so that a kill leaves whole files."""
        self.average.swap(self.model)
        save_model(self.model, self.out)
        self.average.swap(self.model)
        _replace(self.out / "training.json", json.dumps(self._report(), indent=1).encode())
        state = {
            "model": self.model.state_dict(),
            "average": self.average.weights,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "views": self.views,
            "scenes": self.rendered_before + self.pool.rendered,
        }
        torch.save(state, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / "checkpoint.pt")

    def _resume(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint, map_location=self.device, weights_only=True)
        if any(state["model"][name].shape != weight.shape for name, weight in self.model.state_dict().items()):
            raise InputError(f"{checkpoint} is of a model of other sizes.", remedy="Choose another --out folder.")
        self.model.load_state_dict(state["model"])
        for mean, saved in zip(self.average.weights, state["average"], strict=True):
            mean.copy_(saved)
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent, self.views = state["step"], state["spent"], state["views"]
        self.rendered_before = state["scenes"]
        log.info("resumed at step %d after %.0f s", self.step, self.spent)

    def _report(self) -> dict[str, Any]:
        """Say what made these weights."""
        accelerator = torch.cuda.get_device_name() if self.device.type == "cuda" else "CPU"
        return {
            "weights": count_parameters(self.model),
            "steps": self.step,
            "minutes": round(self.spent / 60, 2),
            "crops": self.views,
            "scenes": self.rendered_before + self.pool.rendered,
            "accelerator": accelerator,
            "data": "synthetic only: rl.segmenter.scenes (own figures) and Emblems frames; no photograph",
            "held_out_seed": HELD_OUT_SEED,
            "held_out_iou": self.scores,
            "settings": dataclasses.asdict(self.settings),
        }


class _Clock:
    """Seconds of training, earlier parts of a resumed run included."""

    def __init__(self, spent: float) -> None:
        self._start = time.monotonic() - spent

    def now(self) -> float:
        return time.monotonic() - self._start


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _compile_blocks(model: Sam2Model) -> None:
    """Compile each Hiera block; where the compiler fails, that block runs as it is."""
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.recompile_limit = 64
    for block in model.vision_encoder.backbone.blocks:
        block.compile()


def main(arguments: list[str]) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Train the small SAM 2 on synthetic pictures.")
    parser.add_argument("config", type=Path, help="TOML settings, such as rl/segmenter/configs/embedded.toml")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights, log and checkpoint")
    parser.add_argument("--minutes", type=float, help="override the time budget")
    parser.add_argument("--workers", type=int, help="override the number of rendering processes")
    parser.add_argument("--compile", action="store_true", help="compile the Hiera blocks")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = read_settings(options.config)
    optimiser, data = settings.optimiser, settings.data
    if options.minutes is not None:
        optimiser = dataclasses.replace(optimiser, minutes=options.minutes)
    if options.workers is not None:
        data = dataclasses.replace(data, workers=options.workers)
    optimiser = dataclasses.replace(optimiser, compile=optimiser.compile or options.compile)
    Trainer(dataclasses.replace(settings, optimiser=optimiser, data=data), options.out).run()


if __name__ == "__main__":
    main(sys.argv[1:])
