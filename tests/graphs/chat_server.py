"""A chat endpoint on the loopback interface that answers as a test scripts it, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def send(
    body: object,
    *,
    status: int = 200,
    kind: str = "application/json",
    headers: dict[str, str] | None = None,
    cut: int = 0,
) -> Answer:
    """Answer with `body` (JSON unless bytes); `cut` drops the last bytes although the length promised them."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data[: len(data) - cut])

    return answer


def hang(seconds: float) -> Answer:
    """Answer nothing for a while."""
    return lambda handler: threading.Event().wait(seconds) and None


def said(text: str | None, *, finish: str = "stop", **message: object) -> Answer:
    """Answer with a chat completion."""
    return send(
        {
            "id": "x",
            "object": "chat.completion",
            "choices": [
                {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )


def models(*names: str, owner: str = "vllm") -> Answer:
    """Answer with a list of served models."""
    return send({"object": "list", "data": [{"id": name, "object": "model", "owned_by": owner} for name in names]})


def error(status: int, message: str, *, code: str | None = None, **headers: str) -> Answer:
    """Answer with an OpenAI error body."""
    body = {"error": {"message": message, "type": "x", "code": code}}
    return send(body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class ChatServer:
    """What the server answers, in order (the last answer repeats), and what it was asked."""

    url: str
    models: Answer = field(default_factory=lambda: models("small"))
    answers: list[Answer] = field(default_factory=lambda: [said("hello")])
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    listed: int = 0


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """Run the server in a thread on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            state.listed += 1
            state.models(self)

        def do_POST(self) -> None:
            state.keys.append(self.headers.get("Authorization", ""))
            state.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            at = min(len(state.requests), len(state.answers)) - 1
            state.answers[at](self)

    with in_threads(Handler) as url:
        state = ChatServer(f"{url}/v1")
        yield state


@contextmanager
def in_threads(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback interface, a thread for each connection; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
