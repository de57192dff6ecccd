"""Bad input: one clear error that names the boundary and the remedy, non-zero exit, nothing half-written.

All cases are command lines of this process; one of each boundary is asked in a process of its own, too.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import PIL.Image
import pytest
from agent_stubs import Ran, cli, cli_here, frames, write_clip
from chat_server import chat_server, models, said, send

from agent.outcome import NO_ANSWER
from graphs.budget import Budget
from graphs.endings import Ending

HERE = "--segmenter=grabcut"
"""A segmenter that needs no weights, so that only what is meant goes wrong."""

CASES: dict[str, tuple[str, int, list[str]]] = {
    "no file": ("media", 1, ["none.png", "q", "--policy={good}", HERE]),
    "a folder": ("media", 1, ["folder", "q", "--policy={good}", HERE]),
    "an address": ("media", 1, ["http://host/x.png", "q", "--policy={good}", HERE]),
    "no picture": ("media", 1, ["text.png", "q", "--policy={good}", HERE]),
    "a picture cut off": ("media", 1, ["cut.png", "q", "--policy={good}", HERE]),
    "a huge picture": ("media", 1, ["huge.png", "q", "--policy={good}", HERE]),
    "a clip cut off": ("media", 1, ["cut.mp4", "q", "--policy={good}", HERE]),
    "an empty query": ("input", 2, ["one.png", "  ", "--policy={good}", HERE]),
    "an endless query": ("input", 2, ["one.png", "x" * 5000, "--policy={good}", HERE]),
    "no such policy": ("input", 2, ["one.png", "q", "--policy=nope", HERE]),
    "nobody listens": ("policy", 1, ["one.png", "q", "--policy=http://127.0.0.1:9/v1", HERE]),
    "no chat endpoint": ("policy", 1, ["one.png", "q", "--policy={wrong}", HERE]),
    "no such model": ("policy", 1, ["one.png", "q", "--policy={two}", HERE]),
    "a model that babbles": ("policy", 1, ["one.png", "q", "--policy={babble}", HERE]),
    "a model that says nothing": ("policy", 1, ["one.png", "q", "--policy={silent}", HERE]),
    "no such segmenter": ("input", 2, ["one.png", "q", "--policy={good}", "--segmenter=nope"]),
    "a SAM 2 that is none": ("segmenter", 1, ["one.png", "q", "--policy={good}", "--sam2-model=folder"]),
    "no knowledge base": ("knowledge base", 1, ["one.png", "q", "--policy={good}", "--kb=none", HERE]),
    "an empty knowledge base": ("knowledge base", 1, ["one.png", "q", "--policy={good}", "--kb=folder", HERE]),
    "a broken knowledge base": ("knowledge base", 1, ["one.png", "q", "--policy={good}", "--kb=broken", HERE]),
    "a box of three": ("input", 2, ["one.png", "--box=1,2,3", HERE]),
    "an empty box": ("input", 2, ["one.png", "--box=9,9,9,9", HERE]),
    "a box elsewhere": ("input", 2, ["one.png", "--box=900,900,950,950", HERE]),
    "no such frame": ("input", 2, ["one.png", "--box=1,1,9,9", "--frame=7", HERE]),
    "a file in the way": ("input", 2, ["one.png", "--box=1,1,9,9", "--out=text.png/below", HERE]),
}


def huge_png() -> bytes:
    """A picture of a few bytes whose header promises 60,000 by 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def fill(folder: Path) -> set[str]:
    """Put the bad files there and return their names."""
    PIL.Image.fromarray(frames(1)[0]).save(folder / "one.png")
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:60])
    (folder / "text.png").write_text("this is no picture")
    (folder / "huge.png").write_bytes(huge_png())
    whole = write_clip(folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "folder").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "text_corpus.jsonl").write_text('{"id": 1, "contents": "fine"}\n{"id": 2')
    return {path.name for path in folder.iterdir()}


IN_A_PROCESS = (
    "a clip cut off",
    "an empty query",
    "a model that babbles",
    "a SAM 2 that is none",
    "a broken knowledge base",
)
"""A case of each boundary, those that get furthest before they fail."""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """The endpoints that cases name."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(chat_server()) for name in ("good", "wrong", "two", "babble", "silent")}
        wrong, two, babble, silent = (servers[name] for name in ("wrong", "two", "babble", "silent"))
        wrong.models = send(b"<html>not found</html>", status=404, kind="text/html")
        wrong.answers = [wrong.models]
        two.models = models("one", "other")
        babble.answers = [said("I am a fish.")]
        silent.answers = [said("")]
        yield {name: server.url for name, server in servers.items()}


def check(case: str, did: Ran) -> None:
    """One line of what went wrong, for people and for programs."""
    boundary, code, _ = CASES[case]
    assert did.code == code, did.err
    (line,) = [line for line in did.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: {boundary}: ")
    assert line == did.err.splitlines()[-1]
    assert "Traceback" not in did.err + did.out
    assert did.last["error"]["boundary"] == boundary
    assert did.last["error"]["remedy"]


@pytest.mark.parametrize(
    ("run", "case"),
    [pytest.param(cli_here, case, id=case) for case in CASES]
    + [pytest.param(cli, case, id=f"{case}, in a process") for case in IN_A_PROCESS],
)
def test_bad_input(addresses: dict[str, str], tmp_path: Path, run: Callable[..., Ran], case: str) -> None:
    before = fill(tmp_path)
    did = run("segment", *(argument.format(**addresses) for argument in CASES[case][2]), "--json", cwd=tmp_path)
    check(case, did)
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_process_is_asked_about_each_boundary() -> None:
    assert {CASES[case][0] for case in IN_A_PROCESS} == {boundary for boundary, _, _ in CASES.values()}


def test_every_remedy_of_a_spent_budget_names_an_option_and_a_field():
    options = cli_here("segment", "--help", cwd=Path.cwd()).out
    for ending, failure in NO_ANSWER.items():
        if ending is not Ending.MALFORMED:
            (name,) = re.findall(r"--(\w+) N", failure.remedy)
            assert f"--{name}" in options
            assert name in {field.name for field in fields(Budget)}
