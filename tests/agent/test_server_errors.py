"""Errors on the wire: every refusal has OpenAI's shape and status, names what mends it, and tells no more."""

import json
from typing import Any

import httpx2 as httpx
import openai
import pytest
from server_stubs import HeldPolicy, body, chunks, data_uri, image, png, served, user

from agent import SegmentationAgent
from graphs.episode import MAX_QUERY_CHARS
from tools.errors import PolicyError
from tools.media import Limits

CHAT = "/v1/chat/completions"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


def refused(reply: Any, status: int, code: str, param: str | None = None) -> str:
    """Check the shape of a refusal and return its message."""
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in reply.text
    return error["message"]


@pytest.fixture(scope="module")
def server():
    with served(pictures=3, media=Limits(max_pixels=100_000, max_frames=50, max_bytes=200_000)) as running:
        yield running


@pytest.mark.parametrize(
    ("asked", "status", "code", "param"),
    [
        (body(model="gpt-5"), 404, "model_not_found", "model"),
        (body(n=2), 400, "unsupported", "n"),
        (body(n=0), 400, "unsupported", "n"),
        (body(tools=[{"type": "function"}]), 400, "unsupported", "tools"),
        (body(functions=[{}]), 400, "unsupported", "functions"),
        ({"messages": []}, 400, "invalid_request", "model"),
        (body() | {"messages": []}, 400, "invalid_request", "messages"),
        (body() | {"messages": "x"}, 400, "invalid_request", "messages"),
        (body({"role": "wizard", "content": "x"}), 400, "invalid_request", "messages.0"),
        (body(user({"type": "input_audio", "input_audio": {}})), 400, "invalid_request", None),
        (body(user("x", {"type": "image_url", "image_url": {}})), 400, "invalid_request", None),
        (body(stream="perhaps"), 400, "invalid_request", "stream"),
        ([], 400, "invalid_request", None),
        (body(user("hello")), 400, "no_media", "messages"),
        (body(user(image())), 400, "request", "messages"),
        (body(user("x" * (MAX_QUERY_CHARS + 1), image())), 400, "request", "messages"),
        (body(user("x", image()), {"role": "assistant", "content": "y"}), 400, "request", "messages"),
        (body(user("x", *[image()] * 4)), 400, "too_many_media", "messages"),
        (body(user("x", image("https://example.org/a.png"))), 400, "url_not_fetched", None),
        (body(user("x", image("HTTP://127.0.0.1/a.png"))), 400, "url_not_fetched", None),
        (body(user("x", image("file:///etc/passwd"))), 400, "url_refused", None),
        (body(user("x", image("/etc/passwd"))), 400, "url_refused", None),
        (body(user("x", image("../../etc/passwd"))), 400, "url_refused", None),
        (body(user("x", image("ftp://example.org/a.png"))), 400, "url_refused", None),
        (body(user("x", image("data:image/png,abc"))), 400, "invalid_data_uri", None),
        (body(user("x", image("data:image/png;base64,@@@"))), 400, "invalid_data_uri", None),
        (body(user("x", image("data:image/png;base64,ä"))), 400, "invalid_data_uri", None),
        (body(user("x", image("data:image/png;base64,"))), 400, "media", None),
        (body(user("x", image(data_uri(b"not a picture", "image/png")))), 400, "media", None),
        (body(user("x", image(data_uri(SVG, "image/svg+xml")))), 400, "media", None),
        (body(user("x", image(data_uri(png()[:60], "image/png")))), 400, "media", None),
        (body(user("x", image(data_uri(png((1000, 101)), "image/png")))), 400, "media", None),
        (body(user("x", image(), image(data_uri(png((20, 20)), "image/png")))), 400, "media", None),
        (body(user("x", image(data_uri(bytes(300_000), "image/png")))), 400, "media", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_done_is_refused_by_name(server, asked, status, code, param, stream):
    if stream and isinstance(asked, dict) and "stream" not in asked:
        asked = asked | {"stream": True}
    reply = server.post(asked)
    if param is None:
        param = reply.json()["error"]["param"]
    assert len(refused(reply, status, code, param)) > 20


def test_bodies_that_are_no_json(server):
    kinds = {
        "application/json": (b"", b"{", b"null", b"\xff", b'{"model": "\\ud800"}', b"[" * 100_000),
        "text/plain": (b"x",),
    }
    for kind, contents in kinds.items():
        for content in contents:
            reply = httpx.post(f"{server.url}{CHAT}", content=content, headers={"Content-Type": kind})
            assert reply.status_code == 400
            assert set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_what_was_sent_is_not_sent_back(server):
    sent = "c2VjcmV0" * 50
    assert sent[:16] not in server.post(body(user("x", image(f"data:x;base64,{sent}")))).text
    assert sent[:16] not in server.post(body() | {"messages": [{"role": "user", "content": {"a": sent}}]}).text
    assert sent[:16] not in server.post(body(stream=sent)).text


def test_unknown_places_and_methods(server):
    refused(server.get("/v1/nothing"), 404, "request")
    assert server.get(CHAT).headers["allow"] == "POST"
    refused(server.get(CHAT), 405, "request")
    refused(server.get("/docs"), 404, "request")


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"model": "gpt-5"}, openai.NotFoundError), ({"n": 3}, openai.BadRequestError)],
)
def test_official_clients_raise_their_own_errors(server, fields, error):
    with pytest.raises(error) as caught:
        server.client().chat.completions.create(**body(**fields))
    assert caught.value.code
    assert caught.value.param


class BrokenPolicy:
    name = "http://10.1.2.3:8000/v1"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def complete(self, *_: Any, **__: Any) -> Any:
        raise self.error


def broken(error: Exception) -> SegmentationAgent:
    return SegmentationAgent(BrokenPolicy(error), segmenter=None)


@pytest.mark.parametrize(
    "error", [PolicyError("10.1.2.3 is down.", remedy="Start it."), ZeroDivisionError("a secret detail")]
)
def test_what_broke_on_this_side_is_named_and_no_more(error):
    with served(broken(error)) as server:
        told = refused(server.post(body()), 502, "policy")
        events = chunks(server.post(body(stream=True)))
        with pytest.raises(openai.APIError, match="policy") as caught:
            list(server.client().chat.completions.create(**body(stream=True)))
        assert 'segscout_episodes_total{ending="policy"} 3' in server.get("/metrics").text
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-1]["error"]["type"] == "server_error"
    assert caught.value.code == "policy"
    for text in (told, json.dumps(events)):
        assert "10.1.2.3" not in text
        assert "secret" not in text
        assert "Traceback" not in text


def test_what_nobody_foresaw_has_no_traceback_either(monkeypatch):
    def explode(*_: Any) -> Any:
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr("agent.server.chat.segmentation_of", explode)
    with served() as server:
        assert "secret" not in refused(server.post(body()), 500, "segscout")
        assert chunks(server.post(body(stream=True)))[-1]["error"]["code"] == "segscout"
        assert server.post(body()).status_code == 500  # and it is still there
        assert server.metric("segscout_runs_in_flight") == 0


def test_a_run_that_takes_too_long_is_ended():
    policy = HeldPolicy(["never"])
    player = SegmentationAgent(policy, segmenter=None)
    with served(player, run_seconds=2) as server:
        refused(server.post(body()), 504, "run_timeout")
        assert chunks(server.post(body(stream=True)))[-1]["error"]["code"] == "run_timeout"
        assert server.metric("segscout_runs_in_flight") == 0
    assert policy.cancelled == policy.came == 2


def test_a_full_disk_costs_the_files_and_not_the_answer(monkeypatch):
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.saving._put_in_place", full)
    with served() as server:
        message = server.post(body()).json()["choices"][0]["message"]
    assert message["segmentation"]["files"] == {}
    assert message["segmentation"]["masks"]


def test_broken_json_is_no_fault_of_a_field(server):
    reply = server.post(None, content=b"{", headers={"Content-Type": "application/json"})
    assert "JSON decode error" in refused(reply, 400, "invalid_request")
