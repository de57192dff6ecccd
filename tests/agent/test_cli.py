"""The command line, mostly as a process of its own: what it prints, what it leaves behind, and its exit code."""

import json
import tomllib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from agent_stubs import FACT, FRAMES, HEIGHT, WIDTH, cli, cli_here, frames, script, square, write_clip
from chat_server import chat_server, said
from pycocotools.coco import COCO
from shared_data import SHARED, needs_shared
from tool_server import calls, strict

from agent.commands.request import Request, check_request
from agent.commands.segment import run_segment
from agent.display import plain
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from tools.errors import MediaError
from tools.segmenters import EMBEDDED as EMBEDDED_SEGMENTER

ROLLOUTS = SHARED / "data/seg_research/rollouts"
BOX = ",".join(str(value) for value in square(0))
NASTY = "[bold red]markup[/] \x1b[31mansi\x1b[0m \u202ebidi"


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def knowledge(tmp_path) -> Path:
    folder = tmp_path / "kb"
    folder.mkdir()
    record = {"id": 1, "contents": f"Emblem of the Otters\n{FACT} {NASTY}"}
    (folder / "text_corpus.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def test_segment_shows_the_steps_and_ends_with_json(tmp_path, clip, knowledge):
    with chat_server() as server:
        server.answers = [said(turn) for turn in script()]
        where = ("--policy", server.url, "--profile", "embedded", "--segmenter", "grabcut", "--kb", str(knowledge))
        ran = cli("segment", str(clip), "the emblem of the Otters", *where, "--out", "got", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.last["found"] is True
    assert ran.last["keyframe"] == 2
    assert ran.last["evidence"][0]["source"] == "kb:text/1"
    assert sorted(ran.last["files"]) == sorted(path.name for path in (tmp_path / "got").iterdir())
    assert len(COCO(str(tmp_path / "got" / "masks.json")).getImgIds()) == FRAMES
    steps = [line.split()[0] for line in ran.err.splitlines() if line[:8].strip()]
    assert steps == ["plan", "search", "reason", "look", "reason", "answer", "masks", "result", "spent", "saved"]
    assert "[bold red]markup[/]" in ran.err
    assert "\x1b" not in ran.err
    assert "\u202e" not in ran.err


@pytest.mark.slow
def test_a_model_that_calls_tools_says_what_its_answer_rests_on(tmp_path, clip, knowledge):
    x1, y1, x2, y2 = square(0)
    box = [1000 * x1 // WIDTH, 1000 * y1 // HEIGHT, 1000 * x2 // WIDTH, 1000 * y2 // HEIGHT]
    with chat_server() as server:
        server.answers = strict(
            server,
            calls(("text_search", {"query": "emblem of the Otters"})),
            calls(("answer", {"instances": [{"box": box, "label": NASTY, "evidence": ["e1"]}], "frame": 0})),
        )
        where = ("--policy", server.url, "--profile", "native", "--segmenter", "grabcut", "--kb", str(knowledge))
        ran = cli("segment", str(clip), "the emblem of the Otters", *where, "--out", "got", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.last["instances"][0]["evidence"] == [0]
    assert ran.last["evidence"][0]["source"] == "kb:text/1"
    masks = json.loads((tmp_path / "got" / "masks.json").read_text())
    assert masks["evidence"][0]["source"] == "kb:text/1"
    assert {tuple(one["evidence"]) for one in masks["annotations"]} == {(0,)}
    (cited,) = [line for line in ran.err.splitlines() if line.split()[:1] == ["cited"]]
    assert cited.split(": ")[1].strip() == "kb:text/1"
    assert "\x1b" not in ran.err


def test_people_read_the_steps_on_standard_output(tmp_path, clip):
    ran = cli("segment", str(clip), "--box", BOX, "--segmenter", "grabcut", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert "cut in 6 frames" in ran.out
    assert (tmp_path / "runs" / "segment" / "clip" / "overlay.mp4").exists()


def test_a_box_of_a_later_frame_skips_the_policy(tmp_path, clip):
    box = ",".join(str(value) for value in square(4))
    arguments = ("--box", box, "--frame", "4", "--segmenter", "grabcut", "--out", "got", "--json")
    ran = cli("segment", str(clip), "red", *arguments, cwd=tmp_path, SEGSCOUT_POLICY="http://127.0.0.1:9")
    assert ran.code == 0, ran.err
    assert ran.last["keyframe"] == 4
    assert ran.last["usage"]["turns"] == 0
    coco = COCO(str(tmp_path / "got" / "masks.json"))
    mask = coco.annToMask(coco.loadAnns(coco.getAnnIds(imgIds=[4]))[0]).astype(bool)
    truth = np.zeros((HEIGHT, WIDTH), bool)
    x1, y1, x2, y2 = square(4)
    truth[y1:y2, x1:x2] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.5


def test_profiles_tell_the_line_that_serves_each_and_it_is_not_wrapped(tmp_path):
    ran = cli_here("profiles", "vision-reasoner-7b", "--json", cwd=tmp_path)
    (told,) = ran.last["profiles"]
    assert f"   serve  {told['serve']}" in (ran.out + ran.err).splitlines()
    assert told["view"]["frame_size"] == 840
    assert cli_here("profiles", "gpt", cwd=tmp_path).code == 2
    assert "seg-r1-7b" in cli_here("profiles", cwd=tmp_path).out


def test_replay_reports_on_standard_output(tmp_path):
    turn = '<thinking> x </thinking>\n<answer> {"bbox_2d": [1, 2, 3, 4], "point_2d": [2, 3]} </answer>'
    record = {"output": f"{turn}<|im_end|>", "tool_interact_info": [], "traj_stop_reason": "finished"}
    (tmp_path / "one.jsonl").write_text(json.dumps(record) + "\n")
    ran = cli("replay", "one.jsonl", "--dialect", "seg-research", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    actions = {"search": 0, "keyframe": 0, "answer": 1, "malformed": 0}
    assert ran.last == {"records": 1, "turns": 1, "actions": actions, "agree": 1, "disagree": []}


@needs_shared("data/seg_research/rollouts")
def test_replay_of_the_shared_rollouts_has_a_reason_for_everything(tmp_path):
    for file in sorted(ROLLOUTS.glob("*.jsonl")):
        ran = cli("replay", str(file), "--json", cwd=tmp_path)
        assert ran.code == 0, ran.out
        assert ran.last["agree"] + len(ran.last["disagree"]) == ran.last["turns"]


def test_doctor_names_what_is_missing_and_what_mends_it(tmp_path):
    ran = cli("doctor", "--json", cwd=tmp_path)
    here = has_weights(EMBEDDED_FOLDER) and has_weights(EMBEDDED_SEGMENTER)
    assert ran.last["ok"] is here
    assert ran.code == (0 if here else 1)
    assert {check["name"] for check in ran.last["checks"]} >= {"python", "torch", "embedded policy", "video", "gpu"}
    assert all(check["remedy"] for check in ran.last["checks"] if not check["ok"])
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    told = {check["name"].removeprefix("extra ") for check in ran.last["checks"] if check["name"].startswith("extra ")}
    assert {"train", "gpu"} <= told <= set(project["optional-dependencies"])


def test_help_completion_and_version(tmp_path):
    ran = cli("--help", cwd=tmp_path)
    assert ran.code == 0
    assert all(word in ran.out for word in ("demo", "segment", "eval", "replay", "doctor"))
    environment = {"_SEGSCOUT_COMPLETE": "complete_bash", "COMP_WORDS": "segscout seg", "COMP_CWORD": "1"}
    assert cli(cwd=tmp_path, **environment).out.split() == ["segment"]
    environment = {"_SEGSCOUT_COMPLETE": "complete_bash", "COMP_WORDS": "segscout eval ok", "COMP_CWORD": "2"}
    assert cli(cwd=tmp_path, **environment).out.split() == ["ok-vos"]
    assert cli("--version", cwd=tmp_path).out.startswith("segscout ")


def test_debug_shows_the_traceback_and_nothing_else_does(tmp_path):
    assert "Traceback" in cli("segment", "none.png", "x", "--debug", cwd=tmp_path).err
    assert "Traceback" not in cli("segment", "none.png", "x", cwd=tmp_path).err


def test_settings_come_from_the_env_file_and_options_win(tmp_path):
    PIL.Image.fromarray(frames(1)[0]).save(tmp_path / "one.png")
    (tmp_path / ".env").write_text("SEGSCOUT_SEGMENTER=grabcut\nSEGSCOUT_API_KEY=very-secret\nOTHER=1\n")
    ran = cli("segment", "one.png", "--box", BOX, "--json", cwd=tmp_path)
    assert ran.last["versions"]["segmenter"] == "grabcut"
    wins = cli_here("segment", "one.png", "--box", BOX, "--segmenter", "nope", "--json", cwd=tmp_path)
    assert wins.last["error"]["boundary"] == "input"
    assert "very-secret" not in cli("doctor", "--json", cwd=tmp_path).out


def test_the_key_in_the_env_file_is_sent_by_every_floor(tmp_path):
    PIL.Image.fromarray(frames(1)[0]).save(tmp_path / "one.png")
    (tmp_path / ".env").write_text("SEGSCOUT_API_KEY=very-secret\n")
    with chat_server() as server:
        options = ["--policy", server.url, "--segmenter", "grabcut", "--json"]
        cli_here("segment", "one.png", "x", *options, cwd=tmp_path)
        asked = len(server.keys)
        ran = cli("eval", "emblems", "--n", "1", "--no-search", *options, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert 0 < asked < len(server.keys)
    assert set(server.keys) == {"Bearer very-secret"}
    assert "very-secret" not in ran.out + ran.err


@pytest.mark.parametrize(("option", "few"), [("turns", "2"), ("tokens", "20")])
def test_what_is_spent_can_be_allowed_as_the_remedy_says(tmp_path, option, few):
    PIL.Image.fromarray(frames(1)[0]).save(tmp_path / "one.png")
    with chat_server() as server:
        server.answers = [said("<keyframe> 0 </keyframe>")]
        options = ["--policy", server.url, "--segmenter", "grabcut", "--json"]
        ran = cli_here("segment", "one.png", "x", f"--{option}", few, *options, cwd=tmp_path)
        asked = len(server.requests)
        cli_here("segment", "one.png", "x", "--turns", "12", "--tokens", "9000", *options, cwd=tmp_path)
        more = len(server.requests) - asked
    assert ran.code == 1
    assert f"--{option} N" in ran.last["error"]["remedy"]
    assert f"Budget({option}=N)" in ran.last["error"]["remedy"]
    assert asked <= 3
    assert more == 12


def test_the_command_closes_the_clip_that_it_opened(clip, tmp_path):
    request = Request(media=str(clip), segmenter="grabcut", box=[BOX], out=tmp_path / "out")
    checked = check_request(request)
    run_segment(request, checked, as_json=False)
    with pytest.raises(MediaError, match="is closed"):
        checked.media.frames[0]


def test_foreign_text_is_shown_as_it_is_but_harmless():
    assert plain(NASTY) == "[bold red]markup[/] [31mansi[0m bidi"
    assert plain("one\ntwo\r\n three") == "one two three"
    assert len(plain("x" * 10_000)) == 360
