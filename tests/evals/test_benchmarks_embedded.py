"""The shipped models play published layouts: phrases, phrases without a target, and what must be looked up."""

import json
from pathlib import Path

import dataset_fixtures as make
import pytest
from test_benchmarks_pictures import values
from typer.testing import CliRunner

from evals.cli import app
from evals.emblems.benchmark import make_tasks
from evals.emblems.knowledge import write_knowledge_base
from evals.emblems.tasks import EmblemTask
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from tools.segmenters import EMBEDDED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (has_weights(EMBEDDED_FOLDER) and has_weights(EMBEDDED)), reason="no shipped weights"),
]
SEED = 31337


def measured(name: str, data: Path, *options: str) -> dict:
    ran = CliRunner().invoke(app, [name, "--data", str(data), *options, "--json"])
    assert ran.exit_code == 0, ran.exception
    return json.loads(ran.stdout.splitlines()[-1])


def referred(task: EmblemTask) -> tuple:
    """The first frame of a task's clip, and its query with the true mask there, if there is one."""
    masks = [] if task.target is None else [make.rle(task.clip.mask(0, task.target))]
    return task.clip[0], [([task.query], masks)]


def test_it_finds_what_is_asked_for_and_says_what_is_not_there(tmp_path: Path) -> None:
    tasks: dict[str, list[EmblemTask]] = {}
    for task in make_tasks("test", SEED, 15):
        tasks.setdefault(task.ability, []).append(task)
    kb = tmp_path / "kb"
    write_knowledge_base(kb, "test", SEED)

    make.refcoco(tmp_path, "refcoco", [referred(task) for task in tasks["in-video"][:2]])
    phrases = values(measured("refcoco", tmp_path))
    assert phrases["gIoU"] > 0.8
    assert phrases["IoU > 0.5"] == 1

    some = [tasks["in-video"][2], *tasks["absent"][:2]]
    make.refcoco(tmp_path, "grefcoco", [referred(task) for task in some])
    general = values(measured("grefcoco", tmp_path, "--kb", str(kb)))
    assert (general["N-acc"], general["T-acc"]) == (1, 1)
    assert general["gIoU"] > 0.9

    asked = [(task.query, *referred(task)[:1], task.clip.mask(0, task.target)) for task in tasks["one-hop"][:2]]
    make.evi_lens(tmp_path, asked)
    found = values(measured("evi-lens", tmp_path, "--kb", str(kb)))
    assert found["gIoU"] > 0.8
