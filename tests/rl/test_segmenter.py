"""The recipe of the small SAM 2: scenes, prompts, the model's two halves, and a training run of a few steps."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Sam2Model

from rl.segmenter.batches import SHARES, BatchMaker
from rl.segmenter.lean import make_lean
from rl.segmenter.loader import render
from rl.segmenter.losses import mask_losses
from rl.segmenter.model import build_model, count_parameters, decode, encode, save_model
from rl.segmenter.pool import ScenePool
from rl.segmenter.prompts import box_points, jitter_boxes, window_boxes
from rl.segmenter.scenes import FAMILIES, MOST, SIDE, SceneMaker
from rl.segmenter.settings import ModelSettings, OptimiserSettings, read_settings
from rl.segmenter.train import Trainer
from tools.errors import InputError
from tools.segmenters.base import Prompt
from tools.segmenters.sam2 import Sam2Segmenter
from tools.segmenters.window import window_for

CONFIGS = Path(__file__).parents[2] / "rl" / "segmenter" / "configs"
TINY = read_settings(CONFIGS / "tiny.toml")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors gain nothing from threads, and lose a lot on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pool() -> ScenePool:
    filled = ScenePool(24, torch.device("cpu"))
    filled.add(render(3, 24, emblem_share=0.3))
    filled.refresh()
    return filled


def test_scenes_are_the_same_for_the_same_seed_and_boxes_are_tight() -> None:
    one, other = (SceneMaker(5, emblem_share=0.4) for _ in range(2))
    for _ in range(6):
        scene, twin = one.draw(), other.draw()
        assert np.array_equal(scene.picture, twin.picture)
        assert np.array_equal(scene.ids, twin.ids)
        assert scene.picture.shape == (SIDE, SIDE, 3)
        for k in range(MOST):
            x1, y1, x2, y2 = scene.boxes[k]
            if x2:
                rows, columns = np.nonzero(scene.ids == k + 1)
                assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)
                assert scene.families[k] < len(FAMILIES)


def test_windows_in_training_are_those_of_serving() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(200, 2, generator=generator).mul(250).repeat(1, 2)
    boxes[:, 2:] += 5 + 80 * torch.rand(200, 2, generator=generator)
    for box, window in zip(boxes.tolist(), window_boxes(boxes, torch.full((200,), 1.8)).tolist(), strict=True):
        served = window_for((box[0], box[1], box[2], box[3]), 1.8)
        assert window[2] == pytest.approx(served.side, abs=1)
        assert window[0] == pytest.approx(served.x, abs=1)
        assert window[1] == pytest.approx(served.y, abs=1)


def test_crops_in_training_are_those_of_serving(pool: ScenePool) -> None:
    batch = render(3, 24, emblem_share=0.3)
    targets = pool.every()
    windows = window_boxes(targets.boxes, torch.full((len(targets.boxes),), 1.8))
    crops, cover = pool.cut(targets, windows, 64)
    for i in range(0, len(crops), 9):
        window = window_for(tuple(targets.boxes[i].tolist()), 1.8)  # type: ignore[arg-type]
        if window.side > 90:
            continue  # serving averages when it shrinks a lot
        scene = int(targets.scenes[i])
        served = window.cut(batch.pictures[scene].numpy(), 64).astype(np.float32)
        trained = crops[i].permute(1, 2, 0).numpy() * 255
        assert np.abs(served - trained).mean() < 8
        mask = window.cut_mask((batch.ids[scene] == targets.numbers[i]).numpy(), 64)
        assert (mask != (cover[i] > 0.5).numpy()).mean() < 0.03


def test_jittered_boxes_are_boxes_near_the_truth() -> None:
    boxes = torch.tensor([[50.0, 60.0, 90.0, 160.0]]).repeat(2000, 1)
    moved = jitter_boxes(boxes, torch.Generator().manual_seed(0))
    assert (moved[:, 2:] - moved[:, :2] > 8).all()
    assert ((moved - boxes).abs().median(0).values < 8).all()
    assert (moved - boxes).abs().max() < 100


def test_every_kind_of_prompt_is_in_a_batch(pool: ScenePool) -> None:
    maker = BatchMaker(pool, size=64, window=1.8, generator=torch.Generator().manual_seed(1))
    batch = maker.draw(40)
    assert [group.kind for group in batch.groups] == list(SHARES)
    assert batch.groups[-1].stop == 40
    assert batch.pixels.shape == (40, 3, 64, 64)
    assert batch.target.shape == (40, 32, 32)
    for group in batch.groups:
        assert group.points.shape[:2] == group.labels.shape
        inside = (group.points / 2).long().clamp(0, 31)
        for i, (points, labels) in enumerate(zip(inside, group.labels, strict=True)):
            hits = batch.target[group.start + i][points[:, 1], points[:, 0]]
            if batch.target[group.start + i].max() > 0.5:
                assert (hits[labels == 1] > 0.4).all()


def test_both_halves_give_what_transformers_gives() -> None:
    model = build_model(TINY.model, seed=0, window=1.8).eval()
    pixels, box = torch.randn(3, 3, 64, 64), torch.tensor([[10.0, 12, 40, 50]]).repeat(3, 1)
    points, labels = box_points(box)
    with torch.inference_mode():
        wanted = [
            model(pixel_values=pixels, input_points=points[:, None], input_labels=labels[:, None], multimask_output=m)
            for m in (False, True)
        ]
        boxed = model(pixel_values=pixels, input_boxes=box[:, None], multimask_output=False)
        make_lean(model)
        logits, scores, _ = decode(model, encode(model, pixels), points, labels)
    assert torch.allclose(logits, torch.cat([w.pred_masks[:, 0] for w in wanted], 1), atol=1e-4)
    assert torch.allclose(scores, torch.cat([w.iou_scores[:, 0] for w in wanted], 1), atol=1e-4)
    assert torch.allclose(boxed.pred_masks, wanted[0].pred_masks, atol=1e-4)


def test_the_shipped_size_is_small_enough() -> None:
    settings = read_settings(CONFIGS / "embedded.toml")
    assert settings.model == ModelSettings()
    assert count_parameters(build_model(settings.model, seed=0)) <= 4_000_000


def test_saved_weights_serve(tmp_path: Path) -> None:
    model = build_model(TINY.model, seed=0, window=1.7)
    make_lean(model)
    save_model(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["segscout_window"], config["segscout_propagation"]) == (1.7, "tracking")
    loaded = Sam2Model.from_pretrained(tmp_path, dtype=torch.float32)
    for (name, one), other in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.allclose(one, other, rtol=0.01, atol=1e-6), name
    segmenter = Sam2Segmenter(str(tmp_path), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    mask = segmenter.segment(image, [Prompt((20.0, 30.0, 70.0, 80.0))])[0].mask
    assert mask.shape == (90, 120)


def test_a_perfect_mask_costs_least() -> None:
    target = torch.zeros(2, 128, 128)
    target[:, 32:96, 40:80] = 1
    good = (target[:, None, ::4, ::4] * 20 - 10).repeat(1, 4, 1, 1)
    scores, present = torch.ones(2, 4), torch.full((2, 1), 9.0)
    right = mask_losses(good, scores, present, target)
    wrong = mask_losses(-good, scores, present, target)
    assert right.single_iou > 0.9
    assert wrong.single_iou < 0.1
    assert right.total < 0.3 < wrong.total


def test_a_few_steps_bring_the_loss_down_and_a_second_run_goes_on(tmp_path: Path) -> None:
    Trainer(TINY, tmp_path).run()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    report = json.loads((tmp_path / "training.json").read_text())
    assert report["steps"] == TINY.optimiser.steps
    assert report["held_out_iou"]["emblems"] > 0.1
    assert min(line["loss"] for line in lines[-3:]) < 0.7 * lines[0]["loss"]
    more = dataclasses.replace(TINY.optimiser, steps=TINY.optimiser.steps + 2)
    resumed = Trainer(dataclasses.replace(TINY, optimiser=more), tmp_path)
    assert resumed.step == TINY.optimiser.steps
    resumed.run()
    assert json.loads((tmp_path / "training.json").read_text())["steps"] == TINY.optimiser.steps + 2


def test_settings_refuse_unknown_keys(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[optimiser]\nratio = 3\n")
    with pytest.raises(InputError, match=r"optimiser\.ratio"):
        read_settings(path)
    assert OptimiserSettings().minutes > 0
