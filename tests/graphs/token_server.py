"""A vLLM server on the loopback interface as far as token endpoints go: it holds pictures and answers as scripted."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import PIL.Image
from chat_server import Answer, error, send
from transformers import AutoTokenizer

from graphs.policies.loading import EMBEDDED_FOLDER

CELL = 32
PAD = "<|image_pad|>"


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(EMBEDDED_FOLDER)


def encode(text: str) -> list[int]:
    return list(tokenizer().encode(text, add_special_tokens=False))


def scores(count: int) -> list[float]:
    """The log-probabilities that the server gives."""
    return [-0.125 * (at + 1) for at in range(count)]


def tokens(ids: list[int], *, finish: str = "stop", prompt: int | None = None, **more: object) -> Answer:
    """Answer with sampled ids."""
    content = [
        {"token": f"token_id:{token}", "logprob": score, "bytes": None, "top_logprobs": []}
        for token, score in zip(ids, scores(len(ids)), strict=True)
    ]
    choice = {"index": 0, "token_ids": ids, "finish_reason": finish, "logprobs": {"content": content}}
    usage = None if prompt is None else {"prompt_tokens": prompt, "total_tokens": 0, "completion_tokens": len(ids)}
    return send({"request_id": "x", "choices": [choice], "usage": usage, "prompt_logprobs": None, **more})


@dataclass
class TokenServer:
    """What the server says, in order (the last repeats), and what it was asked.

    `says` are texts that it samples, or answers; `requests` are those for a turn, `sent` those that carried pictures.
    """

    url: str
    version: str = "0.25.1"
    root: str = str(EMBEDDED_FOLDER)
    names: list[str] = field(default_factory=lambda: ["small"])
    says: list[str | Answer] = field(default_factory=lambda: ["hello"])
    requests: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    renders: list[int] = field(default_factory=list)
    """How many pictures each call of the renderer brought."""
    held: dict[str, int] = field(default_factory=dict)
    """Pictures by what the server calls them, with their image tokens."""
    render_answers: list[Answer] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What was asked of the development routes, which are there only in `dev` mode."""
    dev: bool = True
    broken: str = ""
    """The development route that fails."""
    extra_tokens: int = 0
    """Image tokens that the server makes of a picture beyond those it should."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def carried(self) -> int:
        """How many pictures were sent with their pixels."""
        return sum(len(_pixels(request)) for request in self.sent)

    def get(self, path: str) -> Answer:
        if path == "/version":
            return send({"version": self.version})
        return send({"data": [{"id": name, "root": self.root, "owned_by": "vllm"} for name in self.names]})

    def post(self, path: str, request: dict[str, Any]) -> Answer:
        if path == "/v1/chat/completions/render":
            return self._render(request)
        if path == "/inference/v1/generate":
            return self._generate(request)
        if not self.dev:
            return send({"detail": "Not Found"}, status=404)
        self.calls.append((path, request))
        if path == self.broken:
            return error(500, "no such file")
        return send({"results": [None]})

    def _render(self, request: dict[str, Any]) -> Answer:
        uris = [part["image_url"]["url"] for part in request["messages"][0]["content"]]
        self.renders.append(len(uris))
        if self.render_answers:
            return self.render_answers.pop(0)
        (pad,) = encode(PAD)
        ids = encode("user says: ")
        ranges = []
        for uri in uris:
            count = _image_tokens(uri) + self.extra_tokens
            ranges.append({"offset": len(ids), "length": count})
            ids += [pad] * count + encode("\n")
        features = {
            "mm_hashes": {"image": [f"hash of {hash(uri)}" for uri in uris]},
            "mm_placeholders": {"image": ranges},
            "kwargs_data": {"image": [base64.b64encode(uri.encode()).decode() for uri in uris]},
        }
        return send({"token_ids": ids, "features": features, "sampling_params": {}})

    def _generate(self, request: dict[str, Any]) -> Answer:
        ids = request["token_ids"]
        for name, pixels, length in _pictures(request):
            if pixels is not None:
                self.held[name] = length
            elif name not in self.held:
                self.requests.append(request)
                return _lost(request, name)
        if "content_parts" in request:
            ids = self._expand(request)
        more = {"prompt_token_ids": ids} if request.get("return_token_ids") else {}
        if _pixels(request):
            self.sent.append(request)
            return tokens(encode("x"), finish="length", prompt=len(ids), **more)
        self.requests.append(request)
        said = self.says[min(len(self.requests), len(self.says)) - 1]
        if not isinstance(said, str):
            return said
        return tokens(encode(said), prompt=len(ids), **more)

    def _expand(self, request: dict[str, Any]) -> list[int]:
        (pad,) = encode(PAD)
        counts = iter([self.held[part["uuid"]] for part in request["content_parts"]])
        runs = [[token] * next(counts) if token == pad else [token] for token in request["token_ids"]]
        return [token for run in runs for token in run]


def _pictures(request: dict[str, Any]) -> list[tuple[str, str | None, int]]:
    """Name, pixels and image tokens of each picture of a request."""
    if "content_parts" in request:
        parts = request["content_parts"]
        return [(p["uuid"], p.get("url"), _image_tokens(p["url"]) if "url" in p else 0) for p in parts]
    if "features" not in request:
        return []
    features = request["features"]
    (pad,) = encode(PAD)
    for place in features["mm_placeholders"]["image"]:
        run = request["token_ids"][place["offset"] : place["offset"] + place["length"]]
        assert run == [pad] * place["length"]
    named = zip(features["mm_hashes"]["image"], features["kwargs_data"]["image"], strict=True)
    return [(name, pixels, 0) for name, pixels in named]


def _pixels(request: dict[str, Any]) -> list[str]:
    return [pixels for _, pixels, _ in _pictures(request) if pixels is not None]


def _lost(request: dict[str, Any], name: str) -> Answer:
    """What vLLM makes of a picture that it no longer has; 0.25 answers with success."""
    if "features" in request:
        return tokens([], finish="error")
    return error(400, f"Cache miss for image at index 0 but data is not provided ({name}).")


def _image_tokens(uri: str) -> int:
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    return (picture.width // CELL) * (picture.height // CELL)


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Run the server in threads on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            state.get(self.path)(self)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                answer = state.post(self.path, request)
            answer(self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = TokenServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
