"""Runs that survive: a killed process loses nothing that was paid for, and the same call ends as a whole run does."""

import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from agent_stubs import agent, frames
from graph_stubs import DictSearch
from killed_run import NODES, QUERY, THREAD, Stop, draw_found, media, play, wait_for

from agent import Budget, Ending, Result
from graphs.dialects.seg_research import answer_turn, search_turn
from graphs.events import TurnSampled
from tools.errors import CheckpointError, InputError

PAID = ["Otters", "red square", "turn 0", "turn 1", "turn 2"]


@pytest.fixture(scope="module")
def nursery() -> Iterator[multiprocessing.context.BaseContext]:
    """Processes that start at once, since their parent has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_run", "graphs.checkpoints", "graphs.threads"])
    return context


def paid(folder: Path) -> list[str]:
    return sorted((folder / "paid").read_text().split("\n")[:-1])


def comparable(result: Result) -> dict:
    """All but the times, the thread's own name, and the numbers that LangGraph never sees."""
    events = [dataclasses.asdict(step.event) | {"seconds": 0} for step in result.steps]
    usage = replace(result.usage, seconds={})
    evidence = [replace(one, picture="") for one in result.evidence]
    return {
        "ending": result.ending, "instances": result.instances, "events": events, "usage": usage,
        "evidence": evidence, "conversation": result.conversation, "keyframe": result.keyframe,
        "kinds": [type(step.event) for step in result.steps],
    }  # fmt: skip


@pytest.mark.parametrize("node", NODES)
def test_a_killed_run_goes_on_and_ends_as_a_whole_one(node, nursery, tmp_path):
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    for folder in (cut, whole):
        folder.mkdir()
        draw_found(folder)
    process = nursery.Process(target=play, args=(cut, node))
    process.start()
    try:
        wait_for(cut / f"in-{node}")
        with pytest.raises(InputError, match="is being run"):
            play(cut, None)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
    assert process.exitcode == -signal.SIGKILL
    if node in ("observe", "reason", "localize"):
        (cut / "found.png").unlink()  # what was found must be found again without it
    result = play(cut, None)
    assert comparable(result) == comparable(play(whole, None, thread=None))
    assert result.ending is Ending.FOUND
    assert len(result.instances[0].masks) == 12
    assert paid(cut) == PAID  # each once
    assert result.steps[-1].at >= result.steps[0].at
    assert not [path for path in cut.rglob("*") if "DROP" in path.name]


def test_a_run_that_is_through_is_not_run_again(tmp_path):
    draw_found(tmp_path)
    first = play(tmp_path, None)
    again = agent([], search=None, checkpoints=tmp_path / "runs.db").segment(
        media(Stop(None, tmp_path)), QUERY, thread_id=THREAD
    )
    assert comparable(again) == comparable(first)
    assert again.usage == first.usage
    assert [step.at for step in again.steps] == [step.at for step in first.steps]
    assert again.to_dict()["instances"] == first.to_dict()["instances"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"query": "a whale"}, "another query"),
        ({"media": frames(2)}, "another media"),
        ({"dialect": "seg_r1"}, "another dialect"),
    ],
)
def test_a_thread_is_about_one_task(change, told, tmp_path):
    asked = {"media": frames(), "query": "q", "dialect": "seg_research"} | change
    db = tmp_path / "runs.db"
    agent(checkpoints=db).segment(frames(), "q", thread_id="one")
    with pytest.raises(InputError, match=told):
        agent(checkpoints=db, dialect=asked["dialect"]).segment(asked["media"], asked["query"], thread_id="one")
    assert agent(checkpoints=db).segment(frames(), "q", thread_id="one").found  # and nothing is lost
    assert agent(checkpoints=db, dialect=asked["dialect"]).segment(asked["media"], asked["query"], thread_id="two")


@pytest.mark.parametrize(
    ("settings", "call", "told"),
    [
        ({}, {"thread_id": "one"}, "nowhere to keep"),
        ({"checkpoints": "runs.db"}, {"thread_id": ""}, "cannot be used"),
        ({"checkpoints": "runs.db"}, {"thread_id": "a\nb"}, "cannot be used"),
        ({"checkpoints": "runs.db"}, {"thread_id": "x" * 201}, "cannot be used"),
        ({"checkpoints": "runs.db"}, {"choice": 1}, "belongs to a thread"),
        ({"checkpoints": "runs.db"}, {"thread_id": "one", "choice": 1}, "no question"),
    ],
)
def test_what_cannot_be_is_said(settings, call, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        agent(**settings).segment(frames(), "q", **call)


@pytest.mark.parametrize("content", [b"no database" * 100, None])
def test_a_file_that_is_no_database_is_named(content, tmp_path):
    path = tmp_path / "runs.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"runs\.db"):
        agent(checkpoints=path).segment(frames(), "q", thread_id="one")


def test_a_larger_budget_goes_on_where_a_smaller_one_was_spent(tmp_path):
    search = DictSearch({"Otters": "x"})
    db = tmp_path / "runs.db"
    small = agent(checkpoints=db, search=search, budget=Budget(turns=2)).segment(frames(), "q", thread_id="one")
    same = agent(checkpoints=db, search=search, budget=Budget(turns=2)).segment(frames(), "q", thread_id="one")
    assert (small.ending, same.ending) == (Ending.TURNS_SPENT, Ending.TURNS_SPENT)
    large = agent(checkpoints=db, search=search, budget=Budget(turns=5)).segment(frames(), "q", thread_id="one")
    assert large.found
    assert len(search.queries) == 1
    turns = [step.event.turn for step in large.steps if isinstance(step.event, TurnSampled)]
    assert turns == [0, 1, 2]


def test_more_searches_go_on_at_the_search_that_was_refused(tmp_path):
    search = DictSearch({"one": "x", "two": "y", "three": "z"})
    asks = [search_turn("", "text_search", word) for word in ("one", "two", "three")]
    script, db = [*asks, answer_turn("That one.", (0.1, 0.2, 0.3, 0.6), (0.2, 0.4))], tmp_path / "runs.db"

    def ask(searches: int) -> Result:
        player = agent(script, checkpoints=db, search=search, budget=Budget(searches=searches))
        return player.segment(frames(), "q", thread_id="one")

    assert [ask(1).ending, ask(1).ending] == [Ending.SEARCHES_SPENT, Ending.SEARCHES_SPENT]
    assert search.queries == ["one"]
    large = ask(2)
    assert large.found
    assert search.queries == ["one", "three"]  # the policy went past the second long ago
    assert large.usage.searches == 2
    assert ask(9).ending is Ending.FOUND
    assert len(search.queries) == 2
