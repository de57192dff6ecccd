"""What keeps a server standing: key, sizes, places and lines, files that go again, and clients that leave."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import httpx2 as httpx
import openai
import pytest
from agent_stubs import agent
from server_stubs import IMAGE_SCRIPT, HeldPolicy, Served, body, chunks, image, png, served, user

from agent import SegmentationAgent
from agent.server.errors import RequestError
from agent.server.files import FileStore, new_id
from agent.server.gate import Gate
from agent.server.guard import Guard
from agent.server.links import Links

KEY = "a-key-of-sixteen-characters"
CHAT = "/v1/chat/completions"
PATHS = ("/v1/models", CHAT, "/v1/segment", "/v1/files/0/result.json", "/metrics", "/version", "/openapi.json", "/none")


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def held() -> Iterator[HeldPolicy]:
    policy = HeldPolicy(IMAGE_SCRIPT[2:])
    yield policy
    policy.go.set()


@contextmanager
def releasing(policy: HeldPolicy) -> Iterator[None]:
    """Let the runs go at the end, so that a test that fails does not wait for them."""
    try:
        yield
    finally:
        policy.go.set()


def holding(policy: HeldPolicy) -> SegmentationAgent:
    return SegmentationAgent(policy, segmenter=None)


@pytest.mark.parametrize("path", PATHS)
def test_every_path_asks_for_the_key(path):
    with served(key=KEY) as server:
        for header in (None, "", KEY, "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer é"):
            headers = {} if header is None else {"Authorization": header.encode()}
            reply = server.get(path, headers=headers)
            assert reply.status_code == 401
            assert reply.json()["error"]["code"] == "invalid_api_key"
            assert reply.headers["www-authenticate"] == "Bearer"
        assert server.get(path, headers={"Authorization": f"bearer {KEY}"}).status_code != 401
        assert server.get("/health").json() == {"status": "ok"}


async def test_what_is_not_http_gets_nowhere():
    sent, reached = [], []

    async def app(*scope):
        reached.append(scope)

    async def send(message):
        sent.append(message)

    guard = Guard(app, key=KEY, links=Links(60))
    await guard({"type": "websocket", "path": "/ui/queue", "headers": []}, None, send)
    assert (sent, reached) == ([{"type": "websocket.close"}], [])


def test_the_key_comes_before_the_body():
    with served(key=KEY) as server:
        assert server.post(None, content=b"{").status_code == 401
        with pytest.raises(openai.AuthenticationError):
            server.client().chat.completions.create(**body())
        assert server.client(api_key=KEY).chat.completions.create(**body()).choices


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "["},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_without_a_key_pages_of_strangers_are_refused(headers):
    with served() as server:
        assert server.post(body(), headers=headers).json()["error"]["code"] == "foreign_site"
        assert "access-control-allow-origin" not in server.get("/v1/models", headers=headers).headers
        assert server.get("/v1/models", headers={"Origin": server.url}).status_code == 200


def test_a_declared_body_that_is_too_large():
    with served(body_bytes=100_000) as server:
        reply = server.post(None, content=b"x" * 100_001)
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")
        assert reply.headers["connection"] == "close"
        with dialled(server) as sock:  # and at once, without waiting for it
            sock.settimeout(30)
            sock.sendall(head(CHAT, "Content-Type: application/json", "Content-Length: 99999999999"))
            assert sock.recv(4096).startswith(b"HTTP/1.1 413")
        upload = {"file": ("a.png", b"x" * 100_001)}
        assert httpx.post(f"{server.url}/v1/segment", files=upload, data={"query": "x"}).status_code == 413
        assert server.post(body()).status_code == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/segment"])
def test_an_endless_chunked_body_is_cut_off(path):
    sent = 0
    with served(body_bytes=100_000) as server, dialled(server) as sock:
        kind = "multipart/form-data; boundary=b" if path == "/v1/segment" else "application/json"
        sock.sendall(head(path, f"Content-Type: {kind}", "Transfer-Encoding: chunked"))
        first = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        sock.sendall(b"%x\r\n%s\r\n" % (len(first), first))
        try:
            while sent < 20_000_000:
                sock.sendall(b"3e8\r\n" + b"x" * 1_000 + b"\r\n")
                sent += 1_000
        except OSError:  # nobody listens any more
            pass
        assert sent < 20_000_000
        assert server.metric(f'segscout_requests_total{{route="{path}",status="413"}}') == 1


def test_a_body_that_dribbles_in_is_cut_off():
    with served(body_seconds=0.3) as server, dialled(server) as sock:
        sock.sendall(head(CHAT, "Content-Type: application/json", "Content-Length: 1000"))
        start = time.monotonic()
        answer = b""
        while b"\r\n\r\n" not in answer and time.monotonic() < start + 20:
            try:
                sock.sendall(b"{")
                answer += sock.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


def test_the_line_is_bounded_and_says_when_to_come_back(held):
    with served(holding(held), running=1, waiting=2) as server, ThreadPoolExecutor(3) as pool, releasing(held):
        first = pool.submit(server.post, body())
        eventually(lambda: held.came == 1)
        waiting = [pool.submit(server.post, body(stream=True)) for _ in range(2)]
        eventually(lambda: server.metric("segscout_runs_waiting") == 2)
        for stream in (False, True):
            reply = server.post(body(stream=stream))
            assert (reply.status_code, reply.json()["error"]["code"]) == (429, "busy")
            assert int(reply.headers["retry-after"]) >= 1
        with pytest.raises(openai.RateLimitError):
            server.client().chat.completions.create(**body())
        assert held.came == 1
        held.go.set()
        assert first.result().status_code == 200
        assert all(chunks(one.result())[-1]["choices"][0]["finish_reason"] == "stop" for one in waiting)
        assert server.metric("segscout_runs_waiting") == server.metric("segscout_runs_in_flight") == 0


async def test_the_line_is_as_long_as_its_last_one_is_ready_to_wait(monkeypatch):
    now = 0.0
    monkeypatch.setattr("agent.server.gate.monotonic", lambda: now)
    gate = Gate(1, 3, seconds=120)
    async with gate.enter(), fill(gate, 3):  # nobody knows yet how long runs take
        assert await refused(gate) == 20
    gate = Gate(1, 3, seconds=120)
    async with gate.enter():
        now = 50.0
    for _ in range(3):
        with pytest.raises(asyncio.CancelledError):
            async with gate.enter():
                raise asyncio.CancelledError  # which tells nothing of it
    async with gate.enter(), fill(gate, 2):
        assert await refused(gate) == 120  # it would wait for 150 s, but is never told more than two minutes


@asynccontextmanager
async def fill(gate: Gate, waiting: int) -> AsyncIterator[None]:
    """Put so many in line until the block ends."""

    async def wait() -> None:
        async with gate.enter():
            raise AssertionError("the line was not waited for")

    tasks = [asyncio.create_task(wait()) for _ in range(waiting)]
    await asyncio.sleep(0)
    assert gate.waiting == waiting
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def refused(gate: Gate) -> int:
    """After how many seconds one more is told to come back."""
    with pytest.raises(RequestError) as caught:
        async with asyncio.timeout(10), gate.enter():
            pass
    assert caught.value.status == 429
    return int(caught.value.headers["Retry-After"])


def test_all_bodies_together_have_an_end():
    with served(body_bytes=100_000, bodies_bytes=150_000) as server, dialled(server) as sock:
        sock.sendall(head(CHAT, "Content-Type: application/json", "Content-Length: 99999") + b" " * 90_000)
        large = body(user("x" * 80_000))
        eventually(lambda: server.post(large).status_code == 429)
        reply = server.post(large)
        assert (reply.json()["error"]["code"], reply.headers["retry-after"]) == ("busy", "10")
        assert server.post(body()).status_code == 200
        sock.close()
        eventually(lambda: server.post(large).status_code == 400)  # which says that it is too long a text


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_its_run(held, stream):
    with served(holding(held)) as server:
        leave_while(server, body(stream=stream), lambda: held.came == 1)
        eventually(lambda: held.cancelled == 1)
        eventually(lambda: server.metric("segscout_runs_in_flight") == 0)
        assert 'segscout_episodes_total{ending="cancelled"} 1' in server.get("/metrics").text
        held.go.set()
        assert server.post(body()).status_code == 200


def test_a_client_that_leaves_its_upload_cancels_its_run(held):
    files = {"file": ("a.png", png())}
    with served(holding(held)) as server:
        request = httpx.Request("POST", f"{server.url}/v1/segment", files=files, data={"query": "x"})
        content, kind = request.read(), request.headers["content-type"]
        with dialled(server) as sock:
            sock.settimeout(30)
            lines = (f"Content-Type: {kind}", f"Content-Length: {len(content)}")
            sock.sendall(head("/v1/segment", *lines) + content)
            eventually(lambda: held.came == 1)
        eventually(lambda: held.cancelled == 1)
        eventually(lambda: server.metric("segscout_runs_in_flight") == 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_the_line_gives_its_place_up(held, stream):
    with served(holding(held), running=1, waiting=1) as server, ThreadPoolExecutor(1) as pool, releasing(held):
        first = pool.submit(server.post, body())
        eventually(lambda: held.came == 1)
        leave_while(server, body(stream=stream), lambda: server.metric("segscout_runs_waiting") == 1)
        eventually(lambda: server.metric("segscout_runs_waiting") == 0)
        held.go.set()
        assert first.result().status_code == 200
        assert held.came == 1


def test_a_stream_in_which_nothing_happens_says_that_it_lives(held):
    with served(holding(held), ping_seconds=0.02) as server:
        with httpx.stream("POST", f"{server.url}{CHAT}", json=body(stream=True)) as reply:
            lines = reply.iter_lines()
            for _ in range(4):
                while next(lines) != ": working":
                    pass
            held.go.set()
            assert "[DONE]" in list(lines)[-2]
        held.go.clear()
        threading.Timer(0.2, held.go.set).start()
        assert list(server.client().chat.completions.create(**body(stream=True)))[-1].choices[0].finish_reason == "stop"


def test_a_stream_says_that_it_lives_while_it_waits_for_its_place(held):
    with served(holding(held), running=1, waiting=1, ping_seconds=0.05) as server, ThreadPoolExecutor(1) as pool:
        with releasing(held):
            first = pool.submit(server.post, body())
            eventually(lambda: held.came == 1)
            with httpx.stream("POST", f"{server.url}{CHAT}", json=body(stream=True)) as reply:
                lines = reply.iter_lines()
                assert reply.status_code == 200
                while next(lines) != ": working":
                    pass
                assert server.metric("segscout_runs_waiting") == 1
                assert server.post(body(stream=True)).status_code == 429
                held.go.set()
                assert "[DONE]" in list(lines)[-2]
        assert first.result().status_code == 200
        assert server.metric("segscout_runs_in_flight") == 0


def test_what_is_refused_after_the_wait_is_told_in_the_stream(held):
    broken = body(user("x", image("data:image/png;base64,AAAA")), stream=True)
    with served(holding(held), running=1, waiting=1, ping_seconds=0.05) as server, ThreadPoolExecutor(1) as pool:
        with releasing(held):
            first = pool.submit(server.post, body())
            eventually(lambda: held.came == 1)
            with httpx.stream("POST", f"{server.url}{CHAT}", json=broken) as reply:
                lines = reply.iter_lines()
                while next(lines) != ": working":
                    pass
                held.go.set()
                events = [line for line in lines if line.startswith("data: ")]
        assert first.result().status_code == 200
        assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "media"
        assert events[-1] == "data: [DONE]"
        assert server.metric("segscout_runs_in_flight") == 0


def test_files_are_found_by_their_exact_address_alone():
    with served() as server:
        files = server.post(body()).json()["choices"][0]["message"]["segmentation"]["files"]
        path = urlsplit(files["result.json"]).path
        run_id = path.split("/")[3]
        good = server.get(path)
        assert (good.status_code, good.headers["x-content-type-options"]) == (200, "nosniff")
        for bad in (
            path.replace(run_id, new_id()),
            path.replace(run_id, run_id.upper()) if run_id.upper() != run_id else "/v1/files/0/result.json",
            path.replace("result.json", "trace.jsonl"),
            path.replace("result.json", "overlay.mp4"),
            f"/v1/files/{run_id}/../{run_id}/result.json%00",
            f"/v1/files/{run_id}/..%2f..%2f..%2fetc%2fpasswd",
            f"/v1/files/{run_id}%2f..%2f{run_id}/result.json",
            "/v1/files/..%2f..%2f/etc/passwd",
            "/v1/files/../../etc/passwd",
            f"/v1/files/{run_id}/",
            f"/v1/files/{run_id}",
            "/v1/files/",
        ):
            assert raw_get(server, bad).startswith(b"HTTP/1.1 404"), bad


def test_files_grow_old_and_give_way(tmp_path):
    def put(store: FileStore, size: int) -> str:
        run_id = new_id()
        store.folder(run_id).mkdir()
        (store.folder(run_id) / "result.json").write_bytes(b"x" * size)
        return run_id if store.keep(run_id) else ""

    store = FileStore(seconds=60, max_bytes=100)
    first, second = put(store, 40), put(store, 40)
    assert store.find(first, "result.json")
    third = put(store, 40)
    assert [bool(store.find(one, "result.json")) for one in (first, second, third)] == [False, True, True]
    assert not store.folder(first).exists()
    assert put(store, 101) == ""
    assert store.bytes == 0
    store.close()
    assert put_late(store) == []
    old = FileStore(seconds=0.0, max_bytes=100)
    assert put(old, 1) == ""
    old.close()


def test_files_go_when_their_time_is_over_also_if_nobody_asks():
    with served(file_seconds=2) as server:
        server.post(body())
        assert server.metric("segscout_files_bytes") > 0
        eventually(lambda: server.metric("segscout_files_bytes") == 0)


def put_late(store: FileStore) -> list[str]:
    """A run that was saving while the server closed leaves nothing behind."""
    store.folder(new_id()).mkdir(parents=True)
    kept = store.keep(new_id())
    assert not store.folder("x").parent.exists()
    return kept


def test_an_upload_is_segmented():
    with served() as server:
        upload = {"file": ("../../etc/passwd", png(), "text/html")}
        reply = httpx.post(f"{server.url}/v1/segment", files=upload, data={"query": " the red square "})
        assert reply.status_code == 200
        assert (reply.json()["query"], reply.json()["ending"]) == ("the red square", "found")
        assert len(reply.json()["masks"]) == 1
        assert reply.json()["usage"]["turns"] == 3
        result = httpx.get(reply.json()["files"]["result.json"]).json()
        assert result["media"]["name"] == "media-0"
        for data, files in (
            ({"query": "x"}, None),
            ({}, upload),
            ({"query": " "}, upload),
            ({"query": "x", "file": "y"}, None),
        ):
            bad = httpx.post(f"{server.url}/v1/segment", data=data, files=files)
            assert (bad.status_code, bad.json()["error"]["type"]) == (400, "invalid_request_error")
        broken = httpx.post(f"{server.url}/v1/segment", data={"query": "x"}, files={"file": ("a.png", b"GIF89a")})
        assert (broken.status_code, broken.json()["error"]["code"]) == (400, "media")
        unknown = httpx.post(f"{server.url}/v1/segment", data={"query": "x"}, files={"file": ("a.png", b"no picture")})
        assert "media-0 is neither picture nor video that can be read. Give" in unknown.json()["error"]["message"]


def test_half_a_character_is_refused_before_its_files_are_lost():
    asked = json.dumps(body(user("x \ud800 y", image()))).encode()
    with served() as server:
        reply = server.post(None, content=asked, headers={"Content-Type": "application/json"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "input")


def test_metrics_and_version():
    with served(agent(IMAGE_SCRIPT)) as server:
        server.post(body())
        server.get("/v1/nothing/at/all")
        told = server.get("/metrics")
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert f'segscout_requests_total{{route="{CHAT}",status="200"}} 1' in told.text
        assert 'segscout_requests_total{route="none",status="404"} 1' in told.text
        assert 'segscout_episodes_total{ending="found"} 1' in told.text
        assert server.metric("segscout_episode_seconds_count") == 1
        assert server.metric("segscout_files_bytes") > 0
        assert server.get("/version").json()["policy"] == "replay"
        assert "/v1/chat/completions" in server.get("/openapi.json").json()["paths"]


def head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def dialled(server: Served) -> socket.socket:
    parts = urlsplit(server.url)
    sock = socket.create_connection((parts.hostname, parts.port))
    sock.settimeout(0.05)
    return sock


def raw_get(server: Served, path: str) -> bytes:
    """Ask for a path that no client would leave as it is."""
    with dialled(server) as sock:
        sock.settimeout(30)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return sock.recv(4096)


def leave_while(server: Served, asked: dict, true: Callable[[], bool]) -> None:
    """Ask, and hang up as soon as something is true."""
    request = httpx.Request("POST", f"{server.url}{CHAT}", json=asked)
    with dialled(server) as sock:
        sock.settimeout(30)
        content = request.read()
        sock.sendall(head(CHAT, "Content-Type: application/json", f"Content-Length: {len(content)}") + content)
        eventually(true)
