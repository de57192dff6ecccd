"""`segscout rl` as a process: records are made, shown and checked; slips get one clear line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights

pytestmark = pytest.mark.slow
WEIGHTS = pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="needs the embedded weights")
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", "rl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("records")
    ran = run("record", "--n", "3", "--group", "2", "--seed", "4", "--out", str(folder), "--json")
    assert ran.returncode == 0, ran.stderr
    return folder, json.loads(ran.stdout.splitlines()[-1])


@WEIGHTS
def test_records_are_made_shown_and_checked(recorded):
    folder, summary = recorded
    assert summary["records"] == 6
    assert summary["broken"] == 0
    shown = run("show", str(folder), "2", "--json")
    record = json.loads(shown.stdout)
    readable = run("show", str(folder), record["episode_id"])
    assert record["query"] in " ".join(readable.stdout.split()).replace("│ │", "")
    checked = run("check", str(folder), "--policy", "embedded", "--json")
    report = json.loads(checked.stdout.splitlines()[-1])
    assert report["broken"] == []
    assert report["parity_max"] < 1e-4
    assert report["compared_tokens"] > 100


@WEIGHTS
def test_a_picture_that_is_gone_is_found_out(recorded):
    folder, _ = recorded
    picture = next((folder / "media").rglob("*.png"))
    kept = picture.read_bytes()
    picture.unlink()
    checked = run("check", str(folder))
    picture.write_bytes(kept)
    assert checked.returncode != 0
    assert "missing" in checked.stdout
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("record", "--policy", "http://localhost:8000/v1"), "no token ids"),
        (("record", "--task", "nothing"), "no training tasks named"),
        (("record", "--reward", "nothing"), "no reward"),
        (("record", "--n", "0"), "nothing to roll out"),
        (("show", "nowhere"), "no records in nowhere"),
        (("grpo", "nothing"), "no recipe"),
    ],
)
def test_a_slip_gets_one_clear_line(arguments, said, tmp_path):
    ran = run(*arguments)
    assert ran.returncode != 0
    assert said in " ".join(ran.stderr.split()), ran.stderr
    assert "Traceback" not in ran.stderr
