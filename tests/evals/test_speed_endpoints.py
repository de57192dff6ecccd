"""The comparison of endpoints plays every episode once, in however many processes; how fast, no test says."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from evals.emblems.knowledge import EmblemSearch
from evals.speed import endpoints, shares
from evals.speed.endpoints import beside_chat, compare
from evals.speed.server_metrics import read_counters
from evals.speed.shares import WARM_UP, Endpoint, Share, share_out
from evals.speed.stub_endpoint import stub_endpoint
from graphs.dialects.seg_research import answer_turn, keyframe_turn
from graphs.policies.replay import ReplayPolicy
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError, PolicyError
from tools.segmenters.prompts import box_of

TASKS = EmblemsSource("test", 41, 1_000_000)
TELLS = """# HELP process_cpu_seconds_total x
process_cpu_seconds_total 1.5
process_start_time_seconds 1.7e+09
http_requests_total{handler="/inference/v1/generate",method="POST",status="2xx"} 5.0
http_requests_total{handler="/v1/models",method="GET",status="2xx"} 2.0
http_requests_created{handler="/v1/models",method="GET",status="2xx"} 1.7e+09
vllm:request_queue_time_seconds_sum{engine="0",model_name="a b"} 0.25
vllm:request_queue_time_seconds_sum{engine="1",model_name="a b"} 5e-01
vllm:request_queue_time_seconds_count{engine="0"} 4.0
vllm:request_decode_time_seconds_bucket{le="0.3"} 9
hello world
"""


@given(st.integers(1, 9), st.integers(0, 40), st.integers(0, 40), st.integers(0, 1000))
def test_shares_are_disjoint_and_whole(processes: int, clips: int, places: int, first: int) -> None:
    whole = Share("http://there", Endpoint.CHAT, first, clips + processes, 2, places + processes)
    shares = share_out(whole, processes)
    assert sum(share.concurrency for share in shares) == whole.concurrency
    assert min(share.concurrency for share in shares) > 0
    drawn = [range(share.first, share.first + WARM_UP + share.clips) for share in shares]
    assert sorted(clip for span in drawn for clip in span) == list(
        range(first, first + whole.clips + processes * WARM_UP)
    )


@pytest.mark.parametrize(
    ("clips", "group", "places", "processes"), [(3, 1, 9, 4), (9, 1, 3, 4), (9, 0, 9, 1), (9, 1, 9, 0)]
)
def test_what_cannot_be_shared_is_told(clips: int, group: int, places: int, processes: int) -> None:
    with pytest.raises(InputError, match="cannot share"):
        share_out(Share("http://there", Endpoint.CHAT, 0, clips, group, places), processes)


def measure_all(url: str, **asked: Any) -> list[dict[str, Any]]:
    return beside_chat(list(compare([url], **asked)))


def answer(monkeypatch: pytest.MonkeyPatch, text: str, status: int = 200) -> None:
    monkeypatch.setattr("evals.speed.server_metrics.httpx.get", lambda *_, **__: httpx.Response(status, text=text))


def test_what_a_server_counts_is_added_over_its_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, TELLS)
    assert read_counters("http://there") == {"api_cpu": 1.5, "http_requests": 7.0, "queue": 0.75, "requests": 4.0}


def test_a_server_that_counts_nothing_is_none_the_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, TELLS, 404)
    assert read_counters("http://there") == {}
    monkeypatch.undo()
    assert read_counters("http://127.0.0.1:9") == {}


@pytest.mark.slow
async def test_every_clip_is_played_once_in_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter([{"api_cpu": 1.0}, {"api_cpu": 4.0, "new": 1.0}, *[{}, {"api_cpu": 9.0}] * 3])
    monkeypatch.setattr(endpoints, "read_counters", lambda _: next(counted))
    async with stub_endpoint(0.01) as url:
        rows = await asyncio.to_thread(
            measure_all,
            url.removesuffix("/v1"),
            clips=3,
            group=2,
            concurrencies=[4, 2],
            endpoints=[Endpoint.CHAT],
            processes=2,
            rounds=2,
            first=5,
        )
    json.dumps(rows)
    assert (rows[0]["endings"], rows[0]["success"]) == ({"absent": 6}, 0.0)  # the stub looks for red squares
    assert [(row["round"], row["concurrency"]) for row in rows] == [(0, 4), (0, 2), (1, 4), (1, 2)]
    assert [row["first"] for row in rows] == [5 + turn * (3 + 2 * WARM_UP) for turn in range(4)]
    assert [row["server"] for row in rows] == [{"api_cpu": 0.5}, {}, {}, {}]  # three seconds of six episodes
    for row in rows:
        assert (row["episodes"], row["processes"], row["times_chat"]) == (6, 2, 1.0)
        assert sum(row["endings"].values()) == 6
        assert row["turns"] == 2  # the stub looks closer once and answers
        assert row["episodes_per_second"] > 0
        assert row["node_seconds"]["plan"] > 0
        assert row["node_seconds"]["reason"] > 0


@pytest.mark.parametrize(("shift", "right"), [(0.0, True), (0.2, False)])
async def test_success_is_that_of_the_answered_box(shift: float, right: bool) -> None:
    task = TASKS[0]
    assert task.masks is not None
    frame = next(frame for frame in range(len(task.task.media)) if task.masks(frame)[0].any())
    x1, y1, x2, y2 = (edge / 448 for edge in box_of(task.masks(frame)[0]) or ())
    box = (x1 + shift * (x2 - x1) * 2, y1, x2 + shift * (x2 - x1) * 2, y2)
    policy = ReplayPolicy((keyframe_turn("There.", frame), answer_turn("It.", box, ((x1 + x2) / 2, (y1 + y2) / 2))))
    result = await shares._episode(task, 1, policy, EmblemSearch(TASKS.world))
    assert result.ending.value == "found"
    assert shares._right(result, task) == right


def test_servers_share_the_processes_and_what_they_count_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers, four processes; one of the servers does not tell what it generated."""
    counts = {"http://a": {"api_cpu": 1.0, "generated": 5.0}, "http://b": {"api_cpu": 2.0}}
    monkeypatch.setattr(endpoints, "read_counters", counts.__getitem__)
    seen: list[list[str]] = []

    def measure(_: object, __: object, shares: list[Share]) -> dict[str, object]:
        seen.append([share.url for share in shares])
        assert endpoints._read_all(shares) == {"api_cpu": 3.0}
        return {"endpoint": "chat", "concurrency": 3, "episodes_per_second": 1.0}

    monkeypatch.setattr(endpoints, "_measure", measure)
    asked: dict[str, Any] = {"clips": 6, "group": 1, "concurrencies": [4], "endpoints": [Endpoint.CHAT]}
    list(compare([*counts, "http://a/"], **asked, processes=4))
    assert seen == [["http://a", "http://b"] * 2]
    with pytest.raises(InputError, match="3 processes cannot ask 2 servers alike"):
        list(compare([*counts], **asked, processes=3))


def test_endpoints_are_compared_with_chat_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody plays: the first measurement says one episode a second, the second two."""
    said = iter(range(1, 100))
    asked: list[Share] = []

    def measure(_: object, __: object, shares: list[Share]) -> dict[str, object]:
        asked.extend(shares)
        told = {"endpoint": shares[0].endpoint.value, "concurrency": shares[0].concurrency}
        return {**told, "episodes_per_second": float(next(said))}

    monkeypatch.setattr(endpoints, "_measure", measure)
    played: dict[str, Any] = {"clips": 3, "group": 2, "processes": 1}
    rows = measure_all("", concurrencies=[4, 8], endpoints=[Endpoint.TOKENS, Endpoint.CHAT], rounds=2, **played)
    assert [row["times_chat"] for row in rows] == [0.5, 1.0, 0.75, 1.0, 0.83, 1.0, 0.88, 1.0]
    assert [share.concurrency for share in asked] == [4, 4, 8, 8] * 2
    spans = [range(share.first, share.first + share.clips + WARM_UP) for share in asked]
    assert sum(map(len, spans)) == len(set().union(*spans))
    (alone,) = measure_all("", concurrencies=[4], endpoints=[Endpoint.TOKENS], **played)
    assert alone["times_chat"] is None


@pytest.mark.slow
async def test_one_that_fails_is_told_and_nobody_waits() -> None:
    """The first share can play, the second has no server."""
    async with stub_endpoint(0.01) as url:
        with pytest.raises(PolicyError, match="cannot be reached"):
            await asyncio.to_thread(
                lambda: list(
                    compare(
                        [url.removesuffix("/v1"), "http://127.0.0.1:9"],
                        clips=2,
                        group=1,
                        concurrencies=[2],
                        endpoints=[Endpoint.CHAT],
                        processes=2,
                    )
                )
            )


def test_what_was_measured_before_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> Iterator[dict[str, Any]]:
        yield {"round": 0, "endpoint": "chat", "concurrency": 16, "episodes_per_second": 2.0}
        yield {"round": 0, "endpoint": "tokens", "concurrency": 16, "episodes_per_second": 9.0}
        raise PolicyError("the server is gone.", remedy="Start it.")

    monkeypatch.setattr(endpoints, "compare", failing)
    app = typer.Typer()
    app.command()(endpoints.main)
    said = CliRunner().invoke(app, ["http://there", "--json"])
    assert said.exit_code == 1
    assert "the server is gone" in said.stderr
    assert [(row["endpoint"], row["times_chat"]) for row in json.loads(said.stdout)] == [("chat", 1.0), ("tokens", 4.5)]
