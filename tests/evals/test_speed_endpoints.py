"""The comparison of endpoints plays every episode once, in however many processes; how fast, no test says."""

import asyncio

import pytest

from evals.speed.endpoints import Endpoint, compare
from evals.speed.server_metrics import read_seconds
from evals.speed.stub_endpoint import stub_endpoint
from tools.errors import PolicyError

pytestmark = pytest.mark.slow


async def test_every_clip_is_played_once_in_two_processes() -> None:
    async with stub_endpoint(0.01) as url:
        rows = await asyncio.to_thread(
            compare,
            url.removesuffix("/v1"),
            clips=3,
            group=2,
            concurrencies=[4, 2],
            endpoints=[Endpoint.CHAT],
            processes=2,
        )
    assert [(row["episodes"], row["concurrency"], row["processes"]) for row in rows] == [(6, 4, 2), (6, 2, 2)]
    for row in rows:
        assert sum(row["endings"].values()) == 6
        assert row["turns"] == 2  # the stub looks closer once and answers
        assert row["episodes_per_second"] > 0
        assert 0 < row["node_seconds"]["plan"] < row["node_seconds"]["plan"] + row["node_seconds"]["reason"]
        assert row["server_seconds"] == {}  # the stub tells none


def test_a_server_that_is_not_there_is_told_and_nobody_waits() -> None:
    with pytest.raises(PolicyError, match="cannot be reached"):
        compare("http://127.0.0.1:9", clips=2, group=1, concurrencies=[2], endpoints=[Endpoint.TOKENS], processes=2)


class Reply:
    is_success = True
    text = """# HELP process_cpu_seconds_total x
process_cpu_seconds_total 1.5
vllm:request_queue_time_seconds_sum{engine="0",model_name="a b"} 0.25
vllm:request_queue_time_seconds_sum{engine="1",model_name="a b"} 0.5
vllm:request_queue_time_seconds_count{engine="0"} 4.0
vllm:request_decode_time_seconds_bucket{le="0.3"} 9
"""


def test_a_server_s_seconds_are_added_over_its_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.speed.server_metrics.httpx.get", lambda *_, **__: Reply())
    assert read_seconds("http://there") == {"api_cpu": 1.5, "queue": 0.75, "requests": 4.0}
