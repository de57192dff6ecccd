"""What breaks on the way ends under its own name, loses nothing, and the same thread goes on once it is mended.

Kept elsewhere, one part at a time: replies of an endpoint (tests/graphs/test_openai_policy.py), of search providers
(tests/tools/test_search_providers.py), a full disk under recordings and under the server's files
(tests/tools/test_search_cache.py, tests/agent/test_server_errors.py).
"""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from agent_stubs import FACT, agent, frames, script
from chat_server import Answer, ChatServer, chat_server, error, hang, said, send
from graph_stubs import BoxSegmenter, DictSearch
from pydantic import SecretStr

from agent import Ending, SegmentationAgent
from graphs.dialects.seg_research import search_turn
from graphs.policies.openai import OpenAIPolicy
from tools.errors import CheckpointError, SegscoutError
from tools.search.serper import SerperSearch
from tools.web import Fetcher
from tools.web.pictures import PictureFetcher

FOUND = {"searchParameters": {}, "organic": [{"title": "Otters", "link": "https://otters.example", "snippet": FACT}]}
DOWN: Answer = lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)  # noqa: E731
TWICE = [*script()[:1], search_turn("Again.", "text_search", "Otters"), *script()[1:]]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (DOWN, "cannot be reached"),
        (error(500, "on fire"), "500"),
        (hang(3), "no answer in time"),
        (said(""), "empty"),
        (send({"choices": "x" * 1000}, cut=200), "cannot be reached"),
        (send(b"garbage"), "no chat completion"),
    ],
    ids=["down", "500", "hanging", "empty", "cut", "garbage"],
)
def test_an_endpoint_that_breaks_half_way_costs_no_search_and_no_turn(fault, told, server, tmp_path):
    turns = script()
    server.answers = [said(turns[0]), fault]
    search = DictSearch({"Otters": FACT})

    def play():
        policy = OpenAIPolicy(server.url, model="small", timeout=2.0, retries=0)
        player = SegmentationAgent(
            policy, segmenter=BoxSegmenter(), search=search, checkpoints=tmp_path / "runs.db", profile="embedded"
        )
        return player.segment(frames(), "the emblem", thread_id="one")

    broken = play()
    assert broken.ending is Ending.POLICY_BROKEN
    assert broken.failure is not None
    assert broken.failure.boundary == "policy"
    assert told in broken.failure.message + broken.failure.remedy
    assert broken.evidence[0].snippet == FACT
    server.answers = [said(turn) for turn in (turns[0], "", *turns[1:])]  # by the number of the request
    whole = play()
    assert whole.found
    assert (whole.usage.turns, len(search.queries)) == (3, 1)
    assert len(server.requests) == 4  # the first turn was not asked for again


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (DOWN, "serper"),
        (hang(3), "no answer in 1 s"),
        (error(429, "slow down"), "429"),
        (error(500, "on fire"), "500"),
        (send(b"<html>"), "unreadable"),
    ],
    ids=["down", "slow", "429", "500", "garbage"],
)
def test_a_search_that_stays_broken_is_named_and_asked_again_once_it_is_mended(fault, told, server, tmp_path):
    server.answers = [fault]
    pictures = PictureFetcher(Fetcher(), tmp_path / "pictures")
    search = SerperSearch(SecretStr("key"), pictures, seconds=1, url=server.url)
    player = agent(TWICE, search=search, checkpoints=tmp_path / "runs.db")
    broken = player.segment(frames(), "the emblem", thread_id="one")
    assert broken.ending is Ending.TOOL_BROKEN
    assert broken.failure is not None
    assert broken.failure.boundary == "search"
    assert told in broken.failure.message
    assert broken.usage.failed_searches == 2
    server.answers = [send(FOUND)]
    asked = len(server.requests)
    whole = player.segment(frames(), "the emblem", thread_id="one")
    assert whole.found
    assert whole.evidence[0].snippet == FACT
    assert len(server.requests) == asked + 1


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """What a full disk does to every file, by the system's own limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_result_and_the_result_can_be_saved_later(tmp_path):
    result = agent().segment(frames(), "the emblem")
    with files_no_larger_than(1_000), pytest.raises(SegscoutError, match="cannot write") as caught:
        result.save(tmp_path / "out")
    assert "disk" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
    assert result.save(tmp_path / "out")


@pytest.mark.parametrize("size", [0, 40_000, 150_000])
def test_a_full_disk_stops_a_thread_under_its_own_name_and_costs_no_search(size, tmp_path: Path):
    search = DictSearch({"Otters": FACT})
    player = agent(search=search, checkpoints=tmp_path / "runs.db")
    with files_no_larger_than(size), pytest.raises(CheckpointError, match=r"runs\.db") as caught:
        player.segment(frames(), "the emblem", thread_id="one")
    assert "room" in caught.value.remedy
    assert player.segment(frames(), "the emblem", thread_id="one").found
    assert len(search.queries) == 1
