"""The curve and the table of runs, from logs as training writes them."""

import json
import runpy
import sys

import PIL.Image
import pytest

pytest.importorskip("matplotlib", reason="needs the extra train")

from rl.results.curve import compare, main, read_log, series
from tools.errors import InputError


@pytest.fixture
def log(tmp_path):
    lines = [{"step": 0, "minutes": 0.1, "held_out/success": 0.5, "held_out/answered": 0.9, "held_out/searches": 1.5}]
    lines += [
        {"step": k, "minutes": k / 2, "reward": k / 20, "episodes/success": k / 25, "episodes/wasted": 1 - k / 20,
         "episodes/answered": 1.0, "episodes/searches": 1.0}
        for k in range(1, 21)
    ]  # fmt: skip
    lines.append({**lines[0], "step": 20, "minutes": 10.0, "held_out/success": 0.8})
    path = tmp_path / "run" / "log.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_what_a_run_began_and_ended_with(log):
    found = compare(read_log(log))
    assert found["held-out success"] == (0.5, 0.8)
    assert found["steps"] == 20
    assert found["sampled reward"] == pytest.approx((2 / 20, 19 / 20))


def test_noisy_steps_are_averaged_and_measurements_are_not(log):
    lines = read_log(log)
    assert series(lines, "held_out/success") == ([0.1, 10.0], [0.5, 0.8])
    minutes, values = series(lines, "reward")
    assert minutes == [1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 10.0]
    # relative to the first three, 2 / 20 in the mean
    assert values == pytest.approx([1.0, 2.5, 4.0, 5.5, 7.0, 8.5, 9.75])
    assert series(lines, "episodes/success")[1][0] == pytest.approx(2 / 25)


def test_the_picture_and_the_table(log, tmp_path, capsys):
    out = tmp_path / "curve.png"
    main([f"one={log}", str(log)], out)
    assert PIL.Image.open(out).size[0] > 1000
    told = capsys.readouterr().out
    assert "0.500 → 0.800" in told
    assert "one" in told
    assert "run" in told


def test_a_run_that_was_never_measured_has_no_such_rows(log, tmp_path, capsys):
    sampled = [line for line in log.read_text().splitlines() if "held_out" not in line]
    (tmp_path / "sampled.jsonl").write_text("\n".join(sampled) + '\n{"step": 21, "min')  # it is being written
    found = compare(read_log(tmp_path / "sampled.jsonl"))
    assert (found["steps"], found["sampled success"][0]) == (20, pytest.approx(2 / 25))
    assert "held-out success" not in found
    main([f"bare={tmp_path / 'sampled.jsonl'}", f"full={log}"], tmp_path / "curve.png")
    row = next(line for line in capsys.readouterr().out.splitlines() if "held-out success" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][1:] == ["", "0.500 → 0.800"]


def test_a_slip_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["curve", str(tmp_path / "log.jsonl")])
    monkeypatch.delitem(sys.modules, "rl.results.curve")
    with pytest.raises(SystemExit, match=r"^input: .*log\.jsonl is missing"):
        runpy.run_module("rl.results.curve", run_name="__main__")


def test_a_picture_that_cannot_be_written_is_told(log, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        main([str(log)], tmp_path / "nowhere" / "curve.png")


def test_a_log_without_steps_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_log(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(InputError, match="holds no step"):
        read_log(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").write_text("no log\n")
    with pytest.raises(InputError, match="is no log"):
        read_log(tmp_path / "log.jsonl")
