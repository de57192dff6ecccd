"""A folder becomes one COCO file: read back by pycocotools, gone on with after a kill, whatever lies in the folder."""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import typer
from agent_stubs import FACT, FRAMES, HEIGHT, WIDTH, frames, square, write_clip
from graph_stubs import BoxSegmenter, DictSearch
from pycocotools.coco import COCO
from typer.testing import CliRunner

from agent import SegmentationAgent, cli
from agent.commands.label import run_label
from agent.commands.request import Request
from agent.labelling import work
from agent.labelling.files import find_files
from agent.labelling.job import LabelJob
from agent.labelling.plan import check_queries
from agent.labelling.run import label
from evals.runs.local import LocalEngine
from graphs.conversation import Turn
from graphs.dialects.seg_research import absent_turn, answer_turn, search_turn
from graphs.policies.replay import ReplayPolicy
from tools.errors import InputError, PolicyError
from tools.settings import Settings

SQUARE, WHALE = "the emblem of the Otters", "a whale"
BOX = square(0)


class Asked:
    """The parts of a stub agent: it looks the square up and knows where it is, and counts how often it is asked."""

    def __init__(self) -> None:
        self.turns = 0
        self.broken = False

    def agent(self, *_: object) -> SegmentationAgent:
        return SegmentationAgent(ReplayPolicy(self.play), segmenter=BoxSegmenter(), search=DictSearch({"Otters": FACT}))

    def play(self, turns: Sequence[Turn]) -> str:
        self.turns += 1
        if self.broken:
            raise PolicyError("the endpoint is down.", remedy="Start it.")
        if any(WHALE in turn.text for turn in turns if turn.role == "user"):
            return absent_turn("No.")
        if not any(turn.role == "assistant" for turn in turns):
            return search_turn("Who?", "text_search", "emblem of the Otters")
        x1, y1, x2, y2 = square(0)
        box = (x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT)
        return answer_turn("There.", box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))


@pytest.fixture
def asked(monkeypatch, tmp_path) -> Asked:
    stub = Asked()
    monkeypatch.setattr(work, "make_agent", stub.agent)
    monkeypatch.chdir(tmp_path)
    return stub


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pictures of one stem, one with a name in two scripts, a clip, and what is no picture."""
    folder = tmp_path / "media"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "a.bmp", "naïve 写真.png", ".hidden.png", "deep/a.png"):
        PIL.Image.fromarray(frames(1)[0]).save(folder / name)
    write_clip(folder / "clip.mp4")
    (folder / "broken.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("mine")
    return folder


def request(policy: str | None = None, segmenter: str | None = None) -> Request:
    return Request(policy=policy, segmenter=segmenter)


def job(folder: Path, *queries: str, recursive: bool = False) -> LabelJob:
    found = find_files(folder, recursive=recursive)
    made = LabelJob(folder, found, check_queries(queries or [SQUARE]), folder.parent / "out" / "coco.json")
    made.check()
    return made


def unwatched(*_: object) -> nullcontext:
    return nullcontext(lambda found: None)


def run(made: LabelJob, **parts: str) -> dict:
    return asyncio.run(label(made, request(**parts), Settings(_env_file=None), LocalEngine(), unwatched))


def masks(path: Path) -> dict[tuple[str, int, str], np.ndarray]:
    """What pycocotools reads: a mask for each file, frame and category."""
    coco = COCO(str(path))
    found = {}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        image = coco.loadImgs(annotation["image_id"])[0]
        name = coco.loadCats(annotation["category_id"])[0]["name"]
        found[image["file_name"], image["frame"], name] = coco.annToMask(annotation)
        assert annotation["area"] == found[image["file_name"], image["frame"], name].sum()
    return found


def test_pycocotools_reads_every_mask_of_every_file_and_query(asked, folder):
    summary = run(job(folder, SQUARE, WHALE))
    out = folder.parent / "out" / "coco.json"
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[BOX[1] : BOX[3], BOX[0] : BOX[2]] = 1
    read = masks(out)
    pictures = {(name, 0, SQUARE) for name in ("a.bmp", "a.png", "naïve 写真.png")}
    assert set(read) == pictures | {("clip.mp4", frame, SQUARE) for frame in range(FRAMES)}
    assert all((mask == truth).all() for mask in read.values())
    plain = json.loads(out.read_text())
    assert [one["name"] for one in plain["categories"]] == [SQUARE, WHALE]
    assert {(one["width"], one["height"]) for one in plain["images"]} == {(WIDTH, HEIGHT)}
    clip = {one["instance_id"] for one in plain["annotations"] if one["bbox"] and one["image_id"] > 2}
    assert len({one["instance_id"] for one in plain["annotations"]}) == 4
    assert len(clip) == 2
    runs = {(one["file"], one["query"]): one for one in plain["info"]["runs"]}
    assert runs["a.png", WHALE]["ending"] == "absent"
    assert runs["a.png", SQUARE]["evidence"][0]["snippet"] == FACT
    assert plain["info"]["runs"][plain["annotations"][0]["run"]]["file"] == "a.bmp"
    counts = {key: summary[key] for key in ("files", "items", "done", "found", "absent", "images", "annotations")}
    assert counts == {
        "files": 5, "items": 10, "done": 10, "found": 4, "absent": 4, "images": 3 + FRAMES, "annotations": 3 + FRAMES,
    }  # fmt: skip
    assert [(one["file"], one["boundary"]) for one in summary["failures"]] == [("broken.jpg", "media")] * 2
    assert sorted(path.name for path in out.parent.iterdir()) == ["coco.json", "coco.json.rows.jsonl"]


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(asked, folder):
    made = job(folder, SQUARE, WHALE)
    run(made)
    whole, turns = json.loads(made.out.read_text()), asked.turns
    lines = made.journal.read_text().splitlines(keepends=True)
    made.out.unlink()
    made.journal.write_text("".join(lines[:7]) + lines[7][:50])  # killed while it wrote its seventh row
    done = [json.loads(line) for line in lines[1:7]]
    asked.turns = 0
    assert run(made)["done"] == 10 - sum(row["ending"] != "not_run" for row in done)
    assert asked.turns == turns - sum(row["result"]["usage"]["turns"] for row in done if row["result"])
    assert json.loads(made.out.read_text()) == whole
    asked.turns = 0
    assert run(made)["done"] == 2  # the broken file is looked at again
    assert asked.turns == 0


def test_files_and_queries_come_and_go(asked, folder):
    run(job(folder, SQUARE))
    os.unlink(folder / "a.bmp")
    PIL.Image.fromarray(frames(2)[1]).save(folder / "new.png")
    PIL.Image.fromarray(frames(1)[0]).save(folder / "broken.jpg")
    picture = PIL.Image.open(folder / "naïve 写真.png").resize((2 * WIDTH, 2 * HEIGHT))
    picture.save(folder / "naïve 写真.png")
    summary = run(job(folder, SQUARE, WHALE))
    assert (summary["done"], summary["items"], summary["failures"]) == (3 + 5, 10, [])
    plain = json.loads((folder.parent / "out" / "coco.json").read_text())
    assert {one["file_name"]: one["width"] for one in plain["images"]} == {
        "a.png": WIDTH, "broken.jpg": WIDTH, "clip.mp4": WIDTH, "naïve 写真.png": 2 * WIDTH, "new.png": WIDTH,
    }  # fmt: skip
    alone = run(job(folder, WHALE))
    assert (alone["done"], alone["items"], alone["found"], alone["annotations"]) == (0, 5, 0, 0)


def test_folders_in_it_and_links(asked, folder):
    (folder / "again.png").symlink_to(folder / "a.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "loop").symlink_to(folder)
    summary = run(job(folder, SQUARE, recursive=True))
    assert summary["found"] == 6
    assert [one["file"] for one in summary["failures"]] == ["broken.jpg", "gone.png"]
    assert ("deep/a.png", 0, SQUARE) in masks(folder.parent / "out" / "coco.json")


def test_a_name_that_is_no_unicode_leads_back_to_its_file(asked, tmp_path):
    path = os.fsencode(tmp_path) + b"/media/\xff\xfe.png"
    (tmp_path / "media").mkdir()
    try:
        with open(path, "wb") as file:
            PIL.Image.fromarray(frames(1)[0]).save(file, format="png")
    except OSError:
        pytest.skip("this file system takes no such names")
    made = job(tmp_path / "media")
    run(made)
    image = json.loads(made.out.read_text())["images"][0]
    assert os.fsencode(image["file_name"]) == b"\xff\xfe.png"


def test_what_was_broken_is_tried_again_and_fails_loudly_if_all_is(asked, folder, capsys):
    asked.broken = True
    with pytest.raises(typer.Exit) as ended:
        run_label(job(folder), request(), LocalEngine(), as_json=True)
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert {one["boundary"] for one in summary["failures"]} == {"policy", "media"}
    assert "the endpoint is down." in told.err
    asked.broken = False
    run_label(job(folder), request(), LocalEngine(), as_json=True)
    summary = json.loads(capsys.readouterr().out)
    assert (summary["found"], summary["done"]) == (4, 5)


def test_a_run_with_other_parts_is_refused_and_nothing_is_lost(asked, folder):
    made = job(folder)
    run(made)
    before = made.out.read_bytes(), made.journal.read_bytes()
    with pytest.raises(InputError, match="segmenter was 'sam2' and is 'grabcut'"):
        run(made, segmenter="grabcut")
    assert (made.out.read_bytes(), made.journal.read_bytes()) == before


def test_a_slip_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = job(folder)
    with pytest.raises(InputError, match="no policy 'nope'"):
        run(made, policy="nope")
    assert list(made.out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["media", "--out", "media"], "is a folder"),
        (["media", "--out", "notes/coco.json"], "is a file, not a folder"),
        (["media", "--out", "mine.json"], "could be renewed"),
        (["media/deep", "--out", "x.json"], "no pictures or clips.*--recursive"),
        (["nowhere", "--out", "x.json"], "is no folder"),
        (["media", "--out", "x.json", "--query", " "], "a query is empty"),
        (["media", "--out", "x.json", "--workers", "2"], "belong to Ray"),
        (["media", "--out", "x.json", "--concurrency", "0"], "concurrency of 0"),
    ],
)
def test_slips_are_told_before_anything_is_loaded(options, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media" / "deep" / "deeper").mkdir(parents=True)
    PIL.Image.fromarray(frames(1)[0]).save(tmp_path / "media" / "a.png")
    (tmp_path / "notes").write_text("")
    (tmp_path / "mine.json").write_text("{}")
    monkeypatch.setattr(work, "make_agent", None)
    ran = CliRunner().invoke(cli.app, ["label", "--query", "a square", *options])
    assert isinstance(ran.exception, InputError)
    with pytest.raises(InputError, match=told):
        raise ran.exception
    assert (tmp_path / "mine.json").read_text() == "{}"
    assert not (tmp_path / "x.json").exists()
