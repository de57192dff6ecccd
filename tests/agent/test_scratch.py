"""Folders that do not outlive their process: closed, killed, in use, or somebody else's."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from agent.scratch import Scratch

HOLDER = "from agent.scratch import Scratch; held = Scratch('test'); print(held.path, flush=True); input()"
LONG_AGO = (1_000_000_000, 1_000_000_000)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a folder in which a file lies; its lock looks old."""
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2])}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    folder = Path(holder.stdout.readline().strip())
    (folder / "run").mkdir()
    (folder / "run" / "query.txt").write_text("private")
    os.utime(folder / ".lock", LONG_AGO)
    return holder, folder


def test_a_closed_folder_is_gone_with_all_that_is_in_it(temporary):
    with closing(Scratch("test")) as scratch:
        (scratch.path / "deep" / "er").mkdir(parents=True)
        assert scratch.path.parent == temporary
        assert scratch.path.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(temporary):
    (killed, left), (alive, used) = hold(temporary), hold(temporary)
    killed.send_signal(signal.SIGKILL)
    killed.wait(20)
    assert (left / "run" / "query.txt").exists()
    strange = temporary / "segscout-notes"  # of that name, but not made here
    strange.mkdir()
    with closing(Scratch("test")):
        assert not left.exists()
        assert (used / "run" / "query.txt").exists()
        assert strange.exists()
    alive.communicate("\n", timeout=60)
    with closing(Scratch("test")):
        assert not used.exists()


def test_a_folder_that_was_just_made_is_left_alone_also_without_its_lock(temporary):
    young = temporary / "segscout-run-young"
    young.mkdir()
    (young / ".lock").touch()
    with closing(Scratch("test")):
        assert young.exists()
    os.utime(young / ".lock", LONG_AGO)
    with closing(Scratch("test")):
        assert not young.exists()
