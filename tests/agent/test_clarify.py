"""When candidates tie: the question, its price, and every way in which a person can answer."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import PIL.Image
import pytest
from agent_stubs import FACT, ROOT, agent, cli, frames
from chat_server import chat_server, said
from clarify_stubs import LEFT, LEFT_PIXELS, PICTURE, RIGHT, RIGHT_PIXELS, TIED, torn, turn
from graph_stubs import BoxSegmenter, DictSearch
from server_stubs import body, chunks, fenced, image, png, served, user
from typer.testing import CliRunner

from agent import Clarify, Ending, Question, Result, SegmentationAgent
from agent.cli import app
from graphs import checkpoints
from graphs.conversation import ImageRef
from graphs.dialects.seg_research import keyframe_turn, search_turn
from graphs.policies.base import Completion
from tools.errors import InputError


@pytest.mark.parametrize(
    ("choice", "box"), [(1, LEFT_PIXELS), (2, RIGHT_PIXELS), (0, None)], ids=["first", "second", "none of them"]
)
def test_the_question_holds_the_choices_and_the_same_call_answers_it(choice, box, tmp_path):
    player, policy = torn(*TIED, checkpoints=tmp_path / "runs.db")
    asked = player.segment(PICTURE, "the square", thread_id="one")
    assert (asked.ending, asked.found, asked.absent, asked.failure) == (Ending.ASKED, False, False, None)
    assert asked.question is not None
    assert asked.question.answers == 4  # the one that said "not there" alone is no candidate
    (one, two) = asked.question.choices
    assert (one.number, one.frame, one.votes, two.number, two.votes) == (1, 0, 2, 2, 2)
    assert one.boxes[0] == pytest.approx(LEFT_PIXELS, abs=0.1)
    assert two.boxes[0] == pytest.approx(RIGHT_PIXELS, abs=0.1)
    assert len(policy.seeds) == len(set(policy.seeds)) == 5
    assert asked.usage.turns == 1
    assert asked.usage.completion_tokens == sum(len(text.split()) for text in TIED)
    again = player.segment(PICTURE, "the square", thread_id="one")
    assert again.question == asked.question
    with pytest.raises(InputError, match="no choice 3"):
        player.segment(PICTURE, "the square", thread_id="one", choice=3)
    other, unasked = torn("never asked", checkpoints=tmp_path / "runs.db", clarify=False)
    result = other.segment(PICTURE, "the square", thread_id="one", choice=choice)
    assert (result.found, result.absent) == (box is not None, box is None)
    assert [one.box for one in result.instances] == ([] if box is None else [pytest.approx(box, abs=0.1)])
    assert len(policy.seeds) == 5
    assert unasked.seeds == []
    assert [step.event.kind for step in result.steps].count("question") == 1


def test_a_question_in_memory_outlives_the_runs_that_ask_nothing(monkeypatch):
    monkeypatch.setattr(checkpoints, "_MOST_IN_MEMORY", 1)
    player, _ = torn(*TIED)
    asked = player.segment(PICTURE, "the square")
    for _ in range(3):
        assert player.segment(PICTURE, "another").absent
    assert player.segment(PICTURE, "the square", thread_id=asked.thread_id, choice=1).found
    assert player.segment(PICTURE, "the square", thread_id=asked.thread_id, choice=1).found


async def test_the_question_is_an_event_and_needs_no_file():
    player, _ = torn(*TIED)
    items = [item async for item in player.stream(PICTURE, "the square")]
    (question,) = [item for item in items if isinstance(item, Question)]
    asked = items[-1]
    assert isinstance(asked, Result)
    assert asked.question == question
    later = [item async for item in player.stream(PICTURE, "the square", thread_id=asked.thread_id, choice=2)]
    assert later[-1].instances[0].box == pytest.approx(RIGHT_PIXELS, abs=0.1)


@pytest.mark.parametrize(
    ("turns", "changes", "asked"),
    [
        ([turn(LEFT)] * 5, {}, 5),
        ([turn(LEFT), turn(RIGHT), turn(LEFT), turn(LEFT), "hm"], {}, 5),  # one dissent is noise
        ([turn(LEFT), turn(RIGHT), turn(RIGHT)], {"fails": True}, 5),  # what was answered stands
        ([turn(LEFT), turn(RIGHT)], {"clarify": False}, 1),
        ([turn(LEFT), turn(RIGHT), turn(RIGHT)], {"clarify": Clarify(samples=2, rivals=3)}, 3),
    ],
)
def test_nobody_is_asked_without_a_tie(turns, changes, asked):
    player, policy = torn(*turns, **changes)
    result = player.segment(PICTURE, "the square")
    assert result.question is None
    assert result.instances[0].box == pytest.approx(LEFT_PIXELS, abs=0.1)
    assert len(policy.seeds) == asked


class Wavering:
    """Looks up, looks closer and answers; left if greedy, else right, after asking for another frame each time."""

    name = "wavering"

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def complete(self, turns, images, *, max_tokens, stop, sampling):
        own = sum(one.role == "assistant" for one in turns)
        sampled = sampling.temperature > 0
        steps = [search_turn("Who?", "text_search", "Otters"), keyframe_turn("Look.", 2 + sampled)]
        text = [*steps, turn(RIGHT if sampled else LEFT)][own]
        if own == 2:
            self.seen += [part.sha256 for part in turns[-1].parts if isinstance(part, ImageRef)]
        return Completion(text, "stop", 1, 1)


def test_answers_are_compared_from_the_last_lookup_on_and_in_one_frame():
    policy, search = Wavering(), DictSearch({"Otters": FACT})
    player = SegmentationAgent(policy, segmenter=BoxSegmenter(), search=search, clarify=True)
    asked = player.segment(frames(), "the square")
    assert asked.question is not None
    assert [(choice.frame, choice.votes) for choice in asked.question.choices] == [(2, 1), (2, 4)]
    assert len(search.queries) == 1
    assert len(set(policy.seen)) == 1  # all answered about the same picture
    assert (asked.usage.turns, asked.usage.completion_tokens) == (3, 3 + 4 * 2)
    result = player.segment(frames(), "the square", thread_id=asked.thread_id, choice=2)
    assert result.keyframe == 2
    assert result.instances[0].box == pytest.approx(RIGHT_PIXELS, abs=0.1)


def options(folder, url: str) -> list[str]:
    PIL.Image.fromarray(PICTURE).save(folder / "one.png")
    return ["segment", "one.png", "the square", "--policy", url, "--segmenter", "grabcut", "--thread", "one"]


@pytest.mark.slow
def test_a_program_is_told_how_to_answer(tmp_path):
    with chat_server() as server:
        server.answers = [said(text) for text in TIED]
        command = options(tmp_path, server.url)
        asked = cli(*command, "--clarify", "--json", cwd=tmp_path)
        requests, saved = len(server.requests), list(tmp_path.rglob("result.json"))
        answered = cli(*command, "--choice", "2", "--json", cwd=tmp_path)
    assert asked.code == 3, asked.err
    assert asked.last["ending"] == "asked"
    assert "--choice N" in asked.last["answer"]
    assert len(asked.last["question"]["choices"]) == 2
    assert saved == []
    assert answered.code == 0, answered.err
    assert answered.last["instances"][0]["box"] == pytest.approx(RIGHT_PIXELS, abs=0.1)
    assert len(server.requests) == requests == 5


@pytest.mark.slow
def test_a_person_chooses_at_the_terminal(tmp_path):
    with chat_server() as server:
        server.answers = [said(text) for text in TIED]
        command = [sys.executable, "-m", "agent", *options(tmp_path, server.url), "--clarify"]
        ours, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "120"}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        while b"which? 0" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"7\n2\n")  # the first is no choice
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:
            pass  # how a terminal ends when its other side is gone
        os.close(ours)
        assert process.wait(30) == 0, shown.decode()
    assert b"(48, 10, 72, 30) (2 answers)" in shown
    assert b"Please select" in shown
    assert (tmp_path / "runs" / "segment" / "one" / "result.json").exists()


@pytest.mark.parametrize(
    "command", [["--choice", "1"], ["--checkpoints", "x.db"], ["--thread", "a", "--box", "1,1,2,2"]]
)
def test_what_belongs_to_a_thread_needs_one(command, tmp_path):
    PIL.Image.fromarray(PICTURE).save(tmp_path / "one.png")
    ran = cli("segment", "one.png", "q", *command, "--json", cwd=tmp_path)
    assert ran.code == 2
    assert "thread" in ran.last["error"]["remedy"] + ran.last["error"]["message"]


@pytest.mark.parametrize(("options", "file"), [([], None), (["--checkpoints", "x.db"], "x.db")])
def test_a_server_keeps_no_file_of_what_strangers_ask_unless_one_is_named(options, file, monkeypatch):
    asked = []
    monkeypatch.setattr("agent.commands.serve.run_serve", lambda listening, request, **_: asked.append(request))
    ran = CliRunner().invoke(app, ["serve", "--port", "0", "--clarify", *options])
    assert ran.exit_code == 0, ran.output
    assert asked[0].thread.clarify
    assert asked[0].thread.file == (Path(file) if file else None)
    with pytest.raises(InputError, match="--clarify"):
        CliRunner().invoke(app, ["serve", "--port", "0", "--checkpoints", "x.db"], catch_exceptions=False)


@pytest.mark.parametrize("stream", [False, True])
def test_in_a_chat_the_next_message_answers(stream):
    player, policy = torn(*TIED)
    question = user("the square", image())
    with served(player) as server:
        if stream:
            told = chunks(server.post(body(question, stream=True)))
            content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in told if chunk["choices"])
            finish = told[-1]["choices"][0]["finish_reason"]
        else:
            choice = server.post(body(question)).json()["choices"][0]
            content, finish = choice["message"]["content"], choice["finish_reason"]
        asked = fenced(content)
        before = len(policy.seeds)
        answer = [{"role": "assistant", "content": content}, user("2.")]
        final, again = (  # as clients do that try again, or whose user wants another answer
            server.post(body(question, *answer)).json()["choices"][0]["message"]["segmentation"] for _ in range(2)
        )
        other = server.post(body(question, answer[0], user("1.")))
        forged = content.replace(asked["thread"], "0" * 32)
        refused = server.post(body(question, {"role": "assistant", "content": forged}, user("2")))
        new = server.post(body(question, {"role": "assistant", "content": content}, user("the other square")))
    assert finish == "stop"
    assert "1. frame 0: (8, 10, 24, 30) (2 answers)" in content
    assert [one["number"] for one in asked["choices"]] == [1, 2]
    assert final["masks"][0]["bbox"] == pytest.approx([48, 10, 24, 20], abs=1)
    assert again["masks"] == final["masks"]
    assert before == 5
    for bad in (refused, other):
        assert bad.status_code == 400
        assert "no question open" in bad.text
    assert new.json()["choices"][0]["message"]["segmentation"]["ending"] == "absent"  # the script's last answer


def test_an_upload_is_answered_by_its_thread():
    player, _ = torn(*TIED)
    with served(player) as server:
        sent = {"files": {"file": ("a.png", png())}, "timeout": 30}
        asked = httpx.post(f"{server.url}/v1/segment", data={"query": "the square"}, **sent).json()
        form = {"query": "the square", "thread": asked["thread"], "choice": "1"}
        answered = httpx.post(f"{server.url}/v1/segment", data=form, **sent).json()
        bad = httpx.post(f"{server.url}/v1/segment", data=form | {"thread": "../../x"}, **sent)
    assert asked["ending"] == "asked"
    assert answered["masks"][0]["bbox"] == pytest.approx([8, 10, 16, 20], abs=1)
    assert bad.status_code == 400


def test_a_script_without_a_tie_is_the_same_with_and_without_asking():
    assert agent(clarify=True).segment(frames(), "q").instances == agent().segment(frames(), "q").instances
