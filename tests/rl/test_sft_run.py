"""The embedded policy's own training, by recipe and from a checkpoint, as short as it can be."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_sft_recipe import short
from transformers import Qwen3VLForConditionalGeneration

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from rl.sft.recipe import load_recipe
from rl.sft.train import Trainer, main
from tools.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="the embedded policy is not here"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that began with the embedded policy leaves."""
    folder = tmp_path_factory.mktemp("run")
    main(short(folder), folder / "out", "cpu", EMBEDDED_FOLDER)
    return folder / "out"


def contents(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_goes_on_from_a_checkpoint(finished: Path) -> None:
    policy = finished / "policy"
    assert (policy / "tokenizer.json").read_bytes() == (EMBEDDED_FOLDER / "tokenizer.json").read_bytes()
    assert (policy / "chat_template.jinja").is_file()
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    # Weights that were taken over know the task; random ones begin near 8.
    assert lines[0]["loss"] < 2
    before, after = (
        Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).state_dict()
        for folder in (EMBEDDED_FOLDER, policy)
    )
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_same_run_is_not_done_twice_however_its_recipe_is_spelt(
    finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(finished)
    main(short(tmp_path, ("seed = 3", "# as before\nseed   = 3"), ("1e-4", "0.0001")), finished, "cpu", EMBEDDED_FOLDER)
    assert "short has finished in" in caplog.text
    assert contents(finished) == before


@pytest.mark.parametrize("start", [None, "policy"])
def test_another_start_is_refused(finished: Path, tmp_path: Path, start: str | None) -> None:
    before = contents(finished)
    with pytest.raises(InputError, match=r"another recipe.*\(policy\)"):
        main(short(tmp_path), finished, "cpu", finished / start if start else None)
    assert contents(finished) == before


def test_another_recipe_is_refused(finished: Path, tmp_path: Path) -> None:
    before = contents(finished)
    with pytest.raises(InputError, match=r"another recipe.*\(stages\)"):
        main(short(tmp_path, ("steps = 1", "steps = 2")), finished, "cpu", EMBEDDED_FOLDER)
    assert contents(finished) == before


def test_a_policy_without_its_recipe_is_left_alone(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "policy", tmp_path / "out" / "policy")
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match="not the recipe that it was made by"):
        main(short(tmp_path), tmp_path / "out", "cpu", EMBEDDED_FOLDER)
    assert contents(tmp_path / "out") == before


def test_what_lay_beyond_the_checkpoint_is_not_logged_twice(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "done.json").unlink()  # as a run that was cut off leaves it
    with (out / "log.jsonl").open("a") as file:
        file.write('{"stage": "only", "step": 2, "loss": 9.0}\n')
    main(short(tmp_path), out, "cpu", EMBEDDED_FOLDER)
    assert (out / "log.jsonl").read_bytes() == (finished / "log.jsonl").read_bytes()
    assert (out / "done.json").is_file()


class CutError(Exception):
    pass


def test_several_processes_go_on_with_batches_that_none_has_seen(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agree(progress: float) -> float:
        if progress:
            raise CutError
        return progress

    streams = []

    def loader(stream: object, workers: int, *, pin: bool) -> list[SimpleNamespace]:
        streams.append(stream)
        return [SimpleNamespace(to=lambda device: None)]

    monkeypatch.setattr("rl.sft.train.loader", loader)
    crew = SimpleNamespace(device=torch.device("cpu"), leads=False, rank=1, size=2, agree=agree)
    recipe = load_recipe(short(tmp_path))
    trainer = Trainer(recipe, finished, crew)
    trainer.step = 3
    with pytest.raises(CutError):
        trainer._run_stage(recipe.stages[0])
    _, train = streams
    assert (train.first, train.share.rank, train.share.size, train.shape.rows) == (6, 1, 2, 1)
