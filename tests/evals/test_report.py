"""The report of a run: its numbers are the summary's, its text is text, its pictures show both masks."""

import base64
import hashlib
import io
import re
import shlex
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from report_stubs import HOSTILE, play, spec_of, sum_up, write_data, write_run
from typer.testing import CliRunner

import evals.cli
from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Measure, Published, Row
from evals.report.folder import report_folder
from evals.report.page import render_page
from evals.report.rerun import command_of
from evals.runs.spec import RunSpec
from evals.runs.summary import Summary
from tools.errors import InputError

_EMPTY = {"meta", "link", "img", "line", "circle", "rect", "path", "br"}


class Page(HTMLParser):
    """What a page holds, read by Python's own parser: elements with attributes, and text by the classes around it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self._open.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert self._open.pop()[0] == tag  # whatever strangers wrote, every element ends where it should

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag in ("td", "th") for tag, _ in self._open):
            small = any(tag in ("small", "sup") for tag, _ in self._open)
            self.rows[-1][-1] += f" {data.strip()}" if small else data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("reason-seg"))


@pytest.fixture(scope="module")
def run(data: Path) -> tuple[Summary, list[Row], str]:
    spec = spec_of(data)
    benchmark = open_benchmark(spec)
    rows = play(benchmark)
    summary = sum_up(spec, benchmark, rows)
    return summary, rows, render_page(summary, rows, benchmark)


def cell_of(one: Measure | Published, note: int) -> str:
    if isinstance(one, Published):
        return f"{one.value:.3f} {note}"
    assert one.ci95 is not None
    return f"{one.value:.3f} {one.ci95[0]:.3f}\xa0– {one.ci95[1]:.3f}"


def test_the_numbers_in_the_table_are_those_of_the_summary(run: tuple[Summary, list[Row], str]) -> None:
    summary, _, text = run
    head, *lines = [row for row in Page(text).rows if len(row) == 5]
    assert head == ["", "n", "gIoU", "cIoU", "IoU > 0.5"]
    assert [line[0] for line in lines[:3]] == ["This run", "long query", "short query"]
    assert [line[1] for line in lines[:3]] == ["21", "7", "13"]  # what could not be read has no group
    shown = {(line[0], name): cell for line in lines for name, cell in zip(head[2:], line[2:], strict=True)}
    notes = [*dict.fromkeys((one.source, one.caveat) for one in summary.published)]
    told = {(one.group or "This run", one.name): cell_of(one, 0) for one in summary.measures}
    told |= {(p.system, p.measure): cell_of(p, notes.index((p.source, p.caveat)) + 1) for p in summary.published}
    assert len(told) == len(summary.measures) + len(summary.published) == 13
    assert {place: cell for place, cell in shown.items() if cell != "–"} == told
    assert all(one.caveat in text for one in summary.published)
    assert summary.counts in Page(text).text


def test_failures_are_counted_by_class_with_an_example(run: tuple[Summary, list[Row], str]) -> None:
    summary, _, text = run
    shown = {row[0]: row[1:] for row in Page(text).rows if len(row) == 4}
    assert {error: int(cells[0]) for error, cells in shown.items() if error != "class"} == summary.errors
    assert summary.errors == {"policy": 1, "media": 1, "malformed": 1}
    assert shown["policy"][1:] == ["4.8 %", "it is down.samplepic03-0"]
    assert shown["malformed"][2].startswith(f"What is asked for is {HOSTILE}")  # no message: its last words


def test_what_strangers_wrote_is_text_and_nothing_else_may_be_loaded(run: tuple[Summary, list[Row], str]) -> None:
    page = Page(run[2])
    assert page.text.count(HOSTILE) > 10
    assert not page.all("script")
    assert all(str(image["src"]).startswith("data:image/webp;base64,") for image in page.all("img"))
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.elements for name in attributes)
    assert not re.search(r"url\(|@import", run[2])
    policy = next(str(meta["content"]) for meta in page.all("meta") if "http-equiv" in meta)
    style = run[2].partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_same_run_is_the_same_page_but_for_its_date(data: Path, run: tuple[Summary, list[Row], str]) -> None:
    summary, rows, text = run
    benchmark = open_benchmark(summary.spec)
    assert render_page(summary, rows, benchmark) == text
    later = render_page(replace(summary, finished="2027-01-02T03:04:05+00:00"), rows, benchmark)
    ours, theirs = text.splitlines(), later.splitlines()
    changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert 1 <= len(changed) <= 2
    assert all("202" in a and ("2027" in b) for a, b in changed)
    assert "21 November 2026, 14:39 UTC" in text


def test_cases_are_pictures_of_bounded_size_and_none_comes_twice(run: tuple[Summary, list[Row], str]) -> None:
    _, rows, text = run
    shown = re.findall(r'<p class="quiet facts"><span class="data">(.*?)</span>', text)
    assert len(shown) == len(set(shown)) == 18
    scores = {row.id: row.score for row in rows}
    assert Counter(scores[one] == 0 for one in shown[:6]) == {True: 3, False: 3}  # all that failed are among the worst
    assert sorted(scores[one] for one in shown[:6]) == sorted(scores.values())[:6]
    assert [scores[one] for one in shown[-6:]] == sorted(scores.values())[:-7:-1]
    images = [str(image["src"]).partition(",")[2] for image in Page(text).all("img")]
    assert len(images) == 17  # one cannot be read, and says so
    assert text.count('class="without data"') == 1
    for image in images:
        assert max(PIL.Image.open(io.BytesIO(base64.b64decode(image))).size) <= 480
    assert len(text) < 2_000_000


def test_a_kept_run_is_reported_again_and_without_its_data_says_so(tmp_path: Path) -> None:
    summary, _ = write_run(tmp_path / "run", write_data(tmp_path / "data"), policy="http://me:secret@127.0.0.1:9/v1")
    path, without = report_folder(tmp_path / "run")
    first = path.read_bytes()
    assert (without, first.count(b"<img ")) == ("", 17)
    assert b"secret" not in first
    (tmp_path / "data").rename(tmp_path / "moved")
    told = CliRunner().invoke(evals.cli.app, ["report", str(tmp_path / "run")])
    assert told.exit_code == 0
    bare = Page(path.read_text())
    assert not bare.all("img")
    assert f"Made without pictures: input: {tmp_path / 'data'} is missing." in bare.text
    assert f"{summary.measures[0].value:.3f}" in bare.text
    told = CliRunner().invoke(evals.cli.app, ["report", str(tmp_path / "run"), "--data", str(tmp_path / "moved")])
    assert told.stdout.strip() == str(path)
    assert path.read_bytes().replace(b"moved", b"data") == first
    (tmp_path / "moved" / "val" / "pic00.jpg").unlink()
    assert "has 20 samples now, not 21" in report_folder(tmp_path / "run", str(tmp_path / "moved"))[1]


def test_a_folder_without_a_finished_run_is_refused_and_kept(tmp_path: Path) -> None:
    write_run(tmp_path / "run", write_data(tmp_path / "data"))
    kept = (tmp_path / "run" / "rows.jsonl").read_bytes()
    (tmp_path / "run" / "rows.jsonl").write_bytes(b"".join(kept.splitlines(keepends=True)[:-3]))
    with pytest.raises(InputError, match="not of the same run"):
        report_folder(tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as the summary"):
        report_folder(tmp_path / "run")
    with pytest.raises(InputError, match=r"nowhere/summary.json cannot be read .*Say the run's command again"):
        report_folder(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    "spec",
    [
        RunSpec(benchmark="emblems", seed=7, n=40),
        RunSpec(benchmark="reason-seg", data="a folder/it's", split="test", search="off", reasoning="off"),
        RunSpec(
            benchmark="ok-vos", data="x", policy="http://h:1/v1", model="m", profile="qwen3-vl", kb="k", device="cpu"
        ),
        RunSpec(
            benchmark="ok-vos", data="-x", search="tavily", search_cache="replay", sam2_model="f/s", checkpoint="c"
        ),
    ],
)
def test_the_command_in_the_report_is_that_of_the_run(spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunSpec] = []

    async def refuse(spec: RunSpec, *_: Any, **__: Any) -> None:
        asked.append(spec)
        raise InputError("enough.", remedy="None.")

    monkeypatch.setattr(evals.cli, "evaluate", refuse)
    program, command, *arguments = shlex.split(command_of(spec))
    assert (program, command) == ("segscout", "eval")
    CliRunner().invoke(evals.cli.app, arguments)
    assert asked == [spec]
