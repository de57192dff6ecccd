"""The log of a GRPO run: each step once, also of one that was cut off, and broken episodes are not hidden."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra train")

from rl.grpo.progress import Facts, Progress, broken_facts, summarise
from rl.grpo.recipe import HeldOutPart

ARGS = SimpleNamespace(process_index=0, world_size=1)
PART = HeldOutPart(n=3, every=2)


def state(step: int, *, main: bool = True) -> SimpleNamespace:
    return SimpleNamespace(global_step=step, is_world_process_zero=main)


class Broken:
    """Held-out tasks of which every episode breaks."""

    def __init__(self) -> None:
        self.source = [SimpleNamespace(ability=ability) for ability in ("one-hop", "one-hop", "absent")]
        self.asked: list[Any] = []

    def run(self, wanted: list[tuple[int, int]]) -> list[None]:
        self.asked.append(wanted)
        return [None for _ in wanted]


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The log of a run that was cut off at step 3, in the middle of a line, with a checkpoint at step 2."""
    lines = [
        {"step": 0, "minutes": 0.5, "held_out/n": 3.0}, {"step": 1, "minutes": 1.0, "reward": 0.1},
        {"step": 2, "minutes": 2.0, "held_out/n": 3.0}, {"step": 2, "minutes": 2.5, "reward": 0.2},
        {"step": 3, "minutes": 40.0, "reward": 0.3},
    ]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 4, "min')
    return tmp_path


def logged(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]


def test_steps_beyond_the_checkpoint_are_made_anew(cut: Path) -> None:
    progress = Progress(cut, None, None, None)
    progress.on_train_begin(ARGS, state(2), None)
    assert logged(cut) == [0, 1, 2, 2]
    assert 2.5 <= progress.spent() < 3
    progress.on_log(ARGS, state(3), None, {"reward": 0.3})
    assert logged(cut) == [0, 1, 2, 2, 3]


def test_only_the_main_process_writes(cut: Path) -> None:
    before = (cut / "log.jsonl").read_bytes()
    progress = Progress(cut, PART, Broken(), None)
    progress.on_train_begin(ARGS, state(2, main=False), None)
    progress.on_log(ARGS, state(3, main=False), None, {"reward": 0.3})
    assert (cut / "log.jsonl").read_bytes() == before
    assert 2.5 <= progress.spent() < 3


def test_a_run_from_the_beginning_has_a_new_log(cut: Path) -> None:
    progress = Progress(cut, None, None, None)
    progress.on_train_begin(ARGS, state(0), None)
    assert logged(cut) == []
    assert progress.spent() < 0.5


def test_what_was_measured_before_the_cut_is_not_measured_again(cut: Path) -> None:
    held_out = Broken()
    progress = Progress(cut, PART, held_out, None)
    progress.on_train_begin(ARGS, state(2), None)
    assert held_out.asked == []
    progress.on_step_end(ARGS, state(4), SimpleNamespace(should_training_stop=False))
    assert held_out.asked == [[(0, 0), (1, 0), (2, 0)]]
    fresh = Broken()
    Progress(cut, PART, fresh, None).on_train_begin(ARGS, state(1), None)
    assert len(fresh.asked) == 1


def test_broken_episodes_count_as_failures(tmp_path: Path) -> None:
    Progress(tmp_path, PART, Broken(), None).on_train_begin(ARGS, state(0), None)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert (line["held_out/n"], line["held_out/success"], line["held_out/broken"]) == (3, 0, 1)
    assert (line["held_out/one-hop"], line["held_out/absent"]) == (0, 0)
    right = Facts("one-hop", {"success": 1.0, "reward": 0.9, "answered": 1.0, "searches": 2.0, "broken": 0.0})
    mixed = summarise([right, right, right, broken_facts("one-hop")])
    assert mixed["held_out/success"] == mixed["held_out/answered"] == mixed["held_out/one-hop"] == 0.75
    assert mixed["held_out/broken"] == 0.25
    assert (mixed["held_out/searches"], mixed["held_out/reward"]) == (2.0, 0.9)  # of those of which it is known
