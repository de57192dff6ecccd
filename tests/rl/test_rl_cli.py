"""`segscout rl`: records are made, shown and checked, each once by a process; slips get one clear line."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from rl.cli import main
from rl.records import RecordWriter, read_records

pytestmark = pytest.mark.slow
WEIGHTS = pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="needs the embedded weights")
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.cli", "rl", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)


def run_here(*arguments: str) -> tuple[object, str]:
    """Run a command in this process, for starting one takes seconds; returns what it ends with and prints."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        patch.setattr(sys, "argv", ["segscout rl", *arguments])
        patch.chdir(ROOT)
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code, out.getvalue()


def told(*arguments: str) -> str:
    """What a command that fails says."""
    code, _ = run_here(*arguments)
    assert code not in (0, None)
    return " ".join(str(code).split())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("records")
    code, out = run_here("record", "--n", "3", "--group", "2", "--seed", "4", "--out", str(folder), "--json")
    assert code == 0
    return folder, json.loads(out.splitlines()[-1])


@WEIGHTS
def test_records_are_made_shown_and_checked(recorded):
    folder, summary = recorded
    assert summary["records"] == 6
    assert summary["broken"] == 0
    shown = run("show", str(folder), "2", "--json")
    record = json.loads(shown.stdout)
    _, readable = run_here("show", str(folder), record["episode_id"])
    assert record["query"] in " ".join(readable.split()).replace("│ │", "")
    code, checked = run_here("check", str(folder), "--policy", "embedded", "--json")
    report = json.loads(checked.splitlines()[-1])
    assert code == 0
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


@WEIGHTS
def test_a_killed_run_is_continued_by_the_same_command(tmp_path):
    folder = tmp_path / "out"
    lines = folder / "episodes-000.jsonl"
    arguments = ("record", "--n", "4", "--group", "2", "--segmenter", "grabcut", "--out", str(folder), "--json")
    ran = subprocess.Popen(
        [sys.executable, "-m", "agent.cli", "rl", *arguments], cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while ran.poll() is None and (not lines.exists() or lines.read_bytes().count(b"\n") < 2):
        time.sleep(0.005)
    os.kill(ran.pid, signal.SIGKILL)
    ran.wait()
    before = [json.loads(line) for line in lines.read_bytes().split(b"\n")[:-1]]
    assert 2 <= len(before) < 8, "killed in the middle"
    assert [record["episode_id"] for record in read_records(folder)] == [record["episode_id"] for record in before]
    again = json.loads(run(*arguments).stdout.splitlines()[-1])
    assert (again["records"], again["episodes"], again["kept"], again["broken"]) == (8, 8, len(before), 0)
    after = {record["episode_id"]: record for record in read_records(folder)}
    assert len(after) == 8
    for record in before:
        assert after[record["episode_id"]]["input_ids"] == record["input_ids"]
    groups = [(record["group_id"], record["sample_index"]) for record in after.values()]
    assert len(set(groups)) == 8
    assert len({group for group, _ in groups}) == 4
    finished = json.loads(run_here(*arguments)[1].splitlines()[-1])
    assert finished == again | {"kept": 8}


@WEIGHTS
def test_other_options_add_to_a_folder_and_take_nothing_away(recorded):
    folder, summary = recorded
    _, added = run_here("record", "--n", "1", "--no-search", "--seed", "4", "--out", str(folder), "--json")
    assert json.loads(added.splitlines()[-1])["records"] == summary["records"] + 1


@WEIGHTS
def test_a_folder_that_another_run_writes_to_is_left_to_it(tmp_path):
    with RecordWriter(tmp_path, image_pad=0):
        said = told("record", "--n", "1", "--segmenter", "grabcut", "--out", str(tmp_path))
    assert "another process is writing records" in said


def test_an_empty_file_has_no_records_yet(tmp_path):
    (tmp_path / "episodes-000.jsonl").touch()
    assert f"no records in {tmp_path} yet" in told("show", str(tmp_path))


@pytest.mark.parametrize("command", ["show", "check"])
def test_other_columns_get_one_clear_line(tmp_path, command):
    (tmp_path / "episodes-000.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    assert "line 1 is no record: schema_version" in told(command, str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("record", "--temperature", "-1"), "nothing can be sampled at temperature -1"),
        (("record", "--temperature", "nan"), "nothing can be sampled at temperature nan"),
        (("record", "--policy", "nope"), "there is no policy 'nope'"),
        (("record", "--policy", "runs/not/here"), "there is no policy 'runs/not/here'"),
        (("check", "nowhere", "--policy", "nope"), "there is no policy 'nope'"),
        (("record", "--policy", "http://localhost:8000/v1"), "no token ids"),
        (("record", "--task", "nothing"), "no training tasks named"),
        (("record", "--reward", "nothing"), "no reward"),
        (("record", "--n", "0"), "nothing to roll out"),
        (("show", "nowhere"), "no records in nowhere"),
        (("show", "pyproject.toml"), "pyproject.toml is no folder"),
        (("grpo", "nothing"), "no recipe"),
        (("grpo", "embedded-grpo", "--out", "pyproject.toml"), "pyproject.toml is no folder"),
        (("sft", "embedded-sft", "--out", "pyproject.toml"), "pyproject.toml is no folder"),
    ],
)
def test_a_slip_gets_one_clear_line(arguments, said):
    assert said in told(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("grpo", "embedded-grpo", "--policy", "nope"), "there is no policy 'nope'. Use embedded"),
        (("grpo", "embedded-grpo", "--device", "foo"), "nothing is trained on 'foo'"),
        (("grpo", "embedded-grpo", "--device", "cuda:0"), "CUDA_VISIBLE_DEVICES"),
        (("sft", "embedded-sft", "--device", "foo"), "nothing is trained on 'foo'"),
        (("sft", "embedded-records", "--start", "nope"), "there is no policy 'nope'. Use embedded"),
        (("sft", "embedded-polish", "--start", "nope"), "nope holds no policy"),
    ],
)
def test_a_slip_before_training_begins_leaves_nothing(arguments, said, tmp_path):
    assert said in told(*arguments, "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_what_a_recipe_begins_with_is_said_to_be_missing_and_how_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("rl.policy_names.Path", lambda _: tmp_path / "not here")
    said = told("grpo", "embedded-grpo", "--out", str(tmp_path / "out"))
    assert "there is no policy 'runs/careless/policy'. The recipe needs one GPU" in said
    assert "embedded-careless --out runs/careless" in said


def test_less_than_no_time_is_refused():
    assert run_here("grpo", "embedded-grpo", "--minutes", "-1")[0] == 2


@WEIGHTS
def test_a_file_that_is_cut_short_is_mended_as_the_error_says(recorded, tmp_path):
    folder = shutil.copytree(recorded[0], tmp_path / "cut")
    cut = folder / "episodes.parquet"
    cut.write_bytes(cut.read_bytes()[:200])
    again = ("record", "--n", "1", "--seed", "4", "--segmenter", "grabcut", "--out", str(folder))
    for command in (("show", str(folder)), again):
        assert f"cannot read {cut}" in told(*command)
        assert "Remove it, and `segscout rl record`" in told(*command)
    assert [file.name for file in folder.glob("episodes*")] == [cut.name]
    cut.unlink()
    assert run_here(*again)[0] == 0
    assert len(list(read_records(folder))) == 1


def test_a_slip_is_one_line_of_a_real_process():
    ran = run("record", "--temperature", "-1")
    assert ran.returncode != 0
    assert "nothing can be sampled at temperature -1" in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
