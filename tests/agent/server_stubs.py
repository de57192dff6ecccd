"""A server on the loopback interface, in a thread, whose agent plays a script; and what clients send to it."""

import asyncio
import base64
import io
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import PIL.Image
import uvicorn
from agent_stubs import agent, frames, script, write_clip

from agent import SegmentationAgent
from agent.server.app import make_app
from agent.server.settings import ServerSettings
from graphs.conversation import Turn
from graphs.policies.base import Completion, Sampling
from graphs.policies.replay import ReplayPolicy
from tools.image_store import ImageStore

IMAGE_SCRIPT = script(0)


@dataclass
class Served:
    """A running server."""

    url: str

    def client(self, **settings: Any) -> openai.OpenAI:
        return openai.OpenAI(**({"base_url": f"{self.url}/v1", "api_key": "none", "max_retries": 0} | settings))

    def post(self, body: Any, path: str = "/v1/chat/completions", **settings: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=body, timeout=30, **settings)

    def get(self, path: str, **settings: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30, **settings)

    def metric(self, name: str) -> float:
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[1])


@contextmanager
def served(player: SegmentationAgent | None = None, **settings: Any) -> Iterator[Served]:
    """Serve an agent on a free port until the block ends."""
    sock = socket.create_server(("127.0.0.1", 0))
    app = make_app(player or agent(IMAGE_SCRIPT), ServerSettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])), daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{sock.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(10)
        sock.close()


class HeldPolicy:
    """Play a script, but wait before each turn until `go` is set; counts those that came and those cancelled."""

    name = "held"

    def __init__(self, turns: Sequence[str]) -> None:
        self._script = ReplayPolicy(turns)
        self.go = threading.Event()
        self.came = self.cancelled = 0

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        self.came += 1
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await self._script.complete(turns, images, max_tokens=max_tokens, stop=stop, sampling=sampling)


def png(size: tuple[int, int] | None = None) -> bytes:
    """A picture with the square of `agent_stubs`, or a black one of a size."""
    file = io.BytesIO()
    picture = PIL.Image.fromarray(frames(1)[0]) if size is None else PIL.Image.new("1", size)
    picture.save(file, "PNG")
    return file.getvalue()


def data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(url: str | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url or data_uri(png(), "image/png")}}


def video(folder: Path) -> dict[str, Any]:
    clip = write_clip(folder / "clip.mp4").read_bytes()
    return {"type": "video_url", "video_url": {"url": data_uri(clip, "video/mp4")}}


def user(*content: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": "user", "content": [text(part) if isinstance(part, str) else part for part in content]}


def body(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    asked = list(messages) or [user("the red square", image())]
    return {"model": "segscout", "messages": asked} | fields


def fenced(content: str) -> dict[str, Any]:
    """The JSON at the end of an answer's text."""
    return json.loads(content.split("```json\n")[1].split("\n```")[0])


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream that was read whole; it must end in [DONE]."""
    datas = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert datas[-1] == "[DONE]"
    return [json.loads(data) for data in datas[:-1]]
