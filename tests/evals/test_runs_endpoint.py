"""Runs that ask an endpoint: one that was down is asked again if that is wanted, and its address keeps its secrets."""

import json
from pathlib import Path

import pytest
from chat_server import ChatServer, chat_server, error, said
from typer.testing import CliRunner, Result

import evals.cli
from evals.report.folder import report_folder
from tools.errors import InputError


def run(server: ChatServer, folder: Path, *options: str) -> Result:
    """Ask for three clips; the address has a name, a password and a key in it."""
    address = server.url.replace("http://", "http://me:sesame@") + "?key=sesame"
    parts = ["--policy", address, "--segmenter", "exact", "--no-search"]
    return CliRunner().invoke(evals.cli.app, ["emblems", "--n", "3", *parts, "--out", str(folder), *options])


def errors(folder: Path) -> dict[str, int]:
    return json.loads((folder / "summary.json").read_text())["errors"]


def test_what_failed_for_a_broken_part_is_run_again_if_asked(tmp_path: Path) -> None:
    with chat_server() as server:
        server.answers = [said("hello"), said("hello"), said("hello"), error(401, "no entry")]
        told = run(server, tmp_path).stdout
        malformed = errors(tmp_path).get("malformed", 0)
        assert errors(tmp_path)["policy"] == 3 - malformed > 0
        assert f"failed because a part was broken: {3 - malformed};" in " ".join(told.split())
        asked = len(server.requests)
        run(server, tmp_path)
        assert len(server.requests) == asked  # a zero is a result, until somebody says otherwise
        server.answers = [said("hello")]
        told = run(server, tmp_path, "--retry").stdout
        assert errors(tmp_path) == {"malformed": 3}
        assert "--retry" not in told
        asked = len(server.requests)
        run(server, tmp_path, "--retry")
        assert len(server.requests) == asked  # the policy's own doing stands


def test_a_retry_that_was_cut_off_is_not_reported_with_numbers_from_before_it(tmp_path: Path) -> None:
    with chat_server() as server:
        server.answers = [error(401, "no entry")]
        run(server, tmp_path)
        before = (tmp_path / "summary.json").read_bytes()
        report_folder(tmp_path)
        server.answers = [said("hello")]
        run(server, tmp_path, "--retry")
        report_folder(tmp_path)
    (tmp_path / "summary.json").write_bytes(before)
    with pytest.raises(InputError, match="not of the same run"):
        report_folder(tmp_path)


def test_retry_needs_a_run_that_is_kept() -> None:
    told = CliRunner().invoke(evals.cli.app, ["emblems", "--retry"])
    assert "Name its folder with --out" in str(told.exception)


def test_credentials_of_an_address_are_kept_nowhere(tmp_path: Path) -> None:
    with chat_server() as server:
        told = run(server, tmp_path / "run", "--json")
        assert told.exit_code == 0
        assert server.url in told.stdout
        assert "sesame" not in told.output
        files = list((tmp_path / "run").iterdir())
        assert len(files) == 4
        assert not [path.name for path in files if b"sesame" in path.read_bytes()]
        refused = run(server, tmp_path / "run", "--seed", "9")
    assert "seed was 0 and is 9" in str(refused.exception)
    assert "sesame" not in str(refused.exception)
