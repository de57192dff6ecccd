"""Completion in bash, zsh and fish: the scripts that shells load, and what `segscout` answers them."""

import shutil
import subprocess
import sys

import pytest
from agent_stubs import ROOT, cli
from typer.testing import CliRunner

from agent.cli import app
from graphs.profiles import get_profile, make_dialect
from tools.search.choosing import SearchRequest, choose
from tools.settings import Settings

SHELLS = ("bash", "zsh", "fish")


def ask(shell: str, line: str) -> str:
    """What the command line answers a shell about a line, the last word of which is not finished."""
    words = line.split(" ")
    environment = {"_SEGSCOUT_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
    if shell == "bash":
        environment |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    ran = CliRunner().invoke(app, [], prog_name="segscout", env=environment)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def completed(line: str) -> list[str]:
    return ask("bash", line).split()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_its_script_and_its_answers(shell, tmp_path):
    script = cli(cwd=tmp_path, _SEGSCOUT_COMPLETE=f"source_{shell}").out
    assert "segscout" in script
    assert f"complete_{shell}" in script
    if checker := shutil.which(shell):
        options = ["--no-execute"] if shell == "fish" else ["-n"]
        subprocess.run([checker, *options], input=script, text=True, check=True, timeout=60)
    assert "doctor" in ask(shell, "segscout doc")
    assert "--search-cache" in ask(shell, "segscout segment --search-c")
    assert "seg-r1-3b" in ask(shell, "segscout segment a.png q --profile seg-r1")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(tmp_path):
    script = cli(cwd=tmp_path, _SEGSCOUT_COMPLETE="source_bash").out
    (tmp_path / "segscout").write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m agent\n")
    (tmp_path / "segscout").chmod(0o755)
    asked = f"{script}\nCOMP_WORDS=(segscout serve --search '')\nCOMP_CWORD=3\n_segscout_completion ./segscout\n"
    asked += 'echo "${COMPREPLY[@]}"'
    ran = subprocess.run(["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["kb", "tavily", "serper", "duckduckgo"]


def test_commands_and_options_are_completed():
    assert {"demo", "segment", "serve", "mcp", "replay", "profiles", "doctor", "eval", "rl"} <= set(
        completed("segscout ")
    )
    assert completed("segscout eval em") == ["emblems", "emblems-semantic"]
    assert completed("segscout mcp --media") == ["--media-root"]


def test_every_name_that_is_offered_is_known():
    for name in completed("segscout segment a q --profile "):
        assert get_profile(name).name == name
    for command in ("segment a q", "replay x"):
        dialects = completed(f"segscout {command} --dialect ")
        view = get_profile("embedded").view
        assert len({type(make_dialect(name, view)) for name in dialects}) >= 3
    assert completed("segscout serve --segmenter ") == ["sam2", "grabcut"]
    assert completed("segscout mcp --policy ") == ["embedded"]
    assert completed("segscout segment a q --search-cache re") == ["record", "replay"]


def test_every_search_that_is_offered_is_known(tmp_path):
    settings = Settings(_env_file=None, kb=tmp_path, search_folder=tmp_path)  # type: ignore[call-arg]
    for name in completed("segscout doctor --search "):
        chosen = choose(SearchRequest(name, cache="replay"), settings)
        assert (chosen.kb is None) is (chosen.web is not None) is (name != "kb")
