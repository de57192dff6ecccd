"""A vLLM server on the loopback interface as far as token endpoints go: it holds pictures and answers as scripted."""

import base64
import io
import json
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import PIL.Image
import torch
from chat_server import Answer, error, in_threads, send
from transformers import AutoTokenizer

from graphs.policies.loading import EMBEDDED_FOLDER
from graphs.policies.vision import patchify
from tools.image_store import Image, image_sha256

CELL = 32
PATCH = 16
PAD = "<|image_pad|>"


@cache
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(EMBEDDED_FOLDER)


def encode(text: str) -> list[int]:
    return list(tokenizer().encode(text, add_special_tokens=False))


def scores(count: int) -> list[float]:
    """The log-probabilities that the server gives."""
    return [-0.125 * (at + 1) for at in range(count)]


def tokens(
    *samples: list[int],
    finish: str = "stop",
    prompt: int | None = None,
    scored: bool = True,
    named: Sequence[Mapping[int, float]] = (),
    **more: object,
) -> Answer:
    """Answer with the ids of each sample; `named` are, for each place, ids with their log-probabilities."""
    choices = []
    for index, ids in enumerate(samples):
        content = [
            {**_named(token, score), "top_logprobs": [_named(*each) for each in among.items()]}
            for token, score, among in zip(ids, scores(len(ids)), named or [{}] * len(ids), strict=True)
        ]
        logprobs = {"content": content} if scored else None
        choices.append({"index": index, "token_ids": ids, "finish_reason": finish, "logprobs": logprobs})
    length = sum(map(len, samples))
    usage = None if prompt is None else {"prompt_tokens": prompt, "total_tokens": 0, "completion_tokens": length}
    return send({"request_id": "x", "choices": choices, "usage": usage, "prompt_logprobs": None, **more})


@dataclass
class TokenServer:
    """What the server says, in order (the last repeats), and what it was asked.

    `says` are texts that it samples, with `{seed}` for the seed of the sample, or answers, for requests that want more
    than one token; `requests` are those, `sent` those that carried pictures. Each item that comes must be just what the
    renderer would have made.
    """

    url: str
    version: str = "0.25.1"
    root: str = str(EMBEDDED_FOLDER)
    names: list[str] = field(default_factory=lambda: ["small"])
    says: list[str | Answer] = field(default_factory=lambda: ["hello"])
    requests: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    renders: list[int] = field(default_factory=list)
    """How many pictures each call of the renderer brought."""
    held: dict[str, int] = field(default_factory=dict)
    """Pictures by what the server calls them, with their image tokens."""
    render_answers: list[Answer] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What was asked of the development routes, which are there only in `dev` mode."""
    keys: set[str] = field(default_factory=set)
    """What requests brought to be let in."""
    dtype: torch.dtype = torch.bfloat16
    """What the model computes in."""
    inverted: bool = False
    """Whether pictures are processed otherwise than by Qwen3-VL."""
    room: int = 1000
    """Pictures that the server holds from one request to the next."""
    most: int = 64
    """Samples that the server draws for one request."""
    dev: bool = True
    broken: str = ""
    """The development route that fails."""
    extra_tokens: int = 0
    """Image tokens that the server makes of a picture beyond those it should."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def carried(self) -> int:
        """How many pictures were sent with their pixels."""
        return sum(len(self._pixels(request)) for request in self.sent)

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
        ranges, items = [], []
        for uri in uris:
            picture = _picture(uri)
            count = _image_tokens(picture) + self.extra_tokens
            ranges.append({"offset": len(ids), "length": count})
            ids += [pad] * count + encode("\n")
            items.append(base64.b64encode(self.item(picture)).decode())
        features = {
            "mm_hashes": {"image": [f"hash of {hash(uri)}" for uri in uris]},
            "mm_placeholders": {"image": ranges},
            "kwargs_data": {"image": items},
        }
        return send({"token_ids": ids, "features": features, "sampling_params": {}})

    def item(self, picture: Image) -> bytes:
        """What the renderer makes of a picture: laid out as vLLM's msgpack."""
        patches = patchify(255 - picture if self.inverted else picture).to(self.dtype)
        pixels = patches.view(torch.uint8).numpy().tobytes()
        name = str(self.dtype).removeprefix("torch.").encode()
        grid = struct.pack("<3q", 1, picture.shape[0] // PATCH, picture.shape[1] // PATCH)
        head = b"\x82\xacpixel_values\x82\xa4data\x93" + bytes([0xA0 + len(name)]) + name
        head += struct.pack(">BBHBH", 0x92, 0xCD, patches.shape[0], 0xCD, patches.shape[1])
        head += struct.pack(">BIB", 0xC9, len(pixels), 3)
        flat = b"\xa5field\x92\xa4flat\x83\xabkeep_on_cpu\xc2\xa6slices\x91\x91\x93\x00\xcd"
        flat += struct.pack(">H", patches.shape[0]) + b"\xc0\xa3dim\x00"
        tail = b"\xaeimage_grid_thw\x82\xa4data\x93\xa5int64\x91\x03\xc7\x18\x03" + grid
        return head + pixels + flat + tail + b"\xa5field\x92\xa7batched\x81\xabkeep_on_cpu\xc3"

    def read_item(self, item: bytes) -> Image:
        """The picture in an item."""
        grid = item.index(b"image_grid_thw") + len(b"image_grid_thw\x82\xa4data\x93\xa5int64\x91\x03\xc7\x18\x03")
        _, rows, columns = struct.unpack("<3q", item[grid : grid + 24])
        count = rows * columns * 3 * 2 * PATCH * PATCH * self.dtype.itemsize
        start = item.index(b"\xc9") + 6
        pixels = torch.frombuffer(bytearray(item[start : start + count]), dtype=torch.uint8).view(self.dtype).float()
        blocks = pixels.view(rows // 2, columns // 2, 2, 2, 3, 2, PATCH, PATCH)[:, :, :, :, :, 0]
        scaled = blocks.permute(0, 2, 5, 1, 3, 6, 4).reshape(rows * PATCH, columns * PATCH, 3)
        picture = ((scaled + 1.0) * 127.5).round().numpy().astype(np.uint8)
        return 255 - picture if self.inverted else picture

    def _generate(self, request: dict[str, Any]) -> Answer:
        ids = request["token_ids"]
        for name, pixels, length in self._pictures(request):
            if pixels is not None:
                self.held[name] = length
            elif name not in self.held:
                self.requests.append(request)
                return _lost(request, name)
        if "content_parts" in request:
            ids = self._expand(request)
        more = {"prompt_token_ids": ids} if request.get("return_token_ids") else {}
        if self._pixels(request):
            self.sent.append(request)
        params = request["sampling_params"]
        scored, samples = params["logprobs"] is not None, params["n"]
        if samples > self.most or (samples > 1 and params["temperature"] == 0):
            self.refused.append(request)
            return error(400, f"n must be at most {self.most}, and 1 at temperature 0")
        # vLLM would hand them to its engine once for each sample: only if nothing else helps.
        assert samples == 1 or not self._pixels(request) or len(self.held) > self.room
        while len(self.held) > self.room:
            del self.held[next(iter(self.held))]
        if params["max_tokens"] == 1:
            return tokens(encode("x"), finish="length", prompt=len(ids), scored=scored, **more)
        self.requests.append(request)
        said = self.says[min(len(self.requests), len(self.says)) - 1]
        if not isinstance(said, str):
            return said
        texts = [encode(said.replace("{seed}", str(params["seed"] + at))) for at in range(samples)]
        return tokens(*texts, prompt=len(ids), scored=scored, **more)

    def _pictures(self, request: dict[str, Any]) -> list[tuple[str, str | None, int]]:
        """Name, pixels and image tokens of each picture of a request."""
        if "content_parts" in request:
            parts = request["content_parts"]
            return [(p["uuid"], p.get("url"), _image_tokens(_picture(p["url"])) if "url" in p else 0) for p in parts]
        if "features" not in request:
            return []
        features = request["features"]
        (pad,) = encode(PAD)
        lengths = []
        for place in features["mm_placeholders"]["image"]:
            run = request["token_ids"][place["offset"] : place["offset"] + place["length"]]
            assert run == [pad] * place["length"]
            lengths.append(place["length"])
        named = list(zip(features["mm_hashes"]["image"], features["kwargs_data"]["image"], lengths, strict=True))
        for name, pixels, length in named:
            if pixels is not None:
                picture = self.read_item(base64.b64decode(pixels, validate=True))
                assert base64.b64decode(pixels) == self.item(picture)
                assert (name, length) == (image_sha256(picture), _image_tokens(picture))
        return named

    def _pixels(self, request: dict[str, Any]) -> list[str]:
        return [pixels for _, pixels, _ in self._pictures(request) if pixels is not None]

    def _expand(self, request: dict[str, Any]) -> list[int]:
        (pad,) = encode(PAD)
        counts = iter([self.held[part["uuid"]] for part in request["content_parts"]])
        runs = [[token] * next(counts) if token == pad else [token] for token in request["token_ids"]]
        return [token for run in runs for token in run]


def _named(token: int, score: float) -> dict[str, object]:
    return {"token": f"token_id:{token}", "logprob": score, "bytes": None}


def _lost(request: dict[str, Any], name: str) -> Answer:
    """What vLLM makes of a picture that it no longer has; 0.25 answers with success."""
    if "features" in request:
        return tokens(*[[]] * request["sampling_params"]["n"], finish="error")
    return error(400, f"Cache miss for image at index 0 but data is not provided ({name}).")


def _picture(uri: str) -> Image:
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def _image_tokens(picture: Image) -> int:
    return (picture.shape[0] // CELL) * (picture.shape[1] // CELL)


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Run the server in threads on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            state.keys.add(self.headers.get("Authorization", ""))
            state.get(self.path)(self)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.keys.add(self.headers.get("Authorization", ""))
            with state.lock:
                answer = state.post(self.path, request)
            answer(self)

    with in_threads(Handler) as url:
        state = TokenServer(url)
        yield state
