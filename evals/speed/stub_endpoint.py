"""A chat endpoint on the loopback interface whose policy is a rule: it finds the red square in what it is shown.

Its answers come from the picture and the question alone, so whoever sends a marked picture and a numbered question can
tell whether both arrived together. Every turn takes as long as it is told.
"""

import asyncio
import base64
import io
import re
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import PIL.Image
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from graphs.dialects.seg_research import absent_turn, answer_turn, keyframe_turn

RED = (200, 30, 30)
_NUMBER = re.compile(r"number (\d+)")


@asynccontextmanager
async def stub_endpoint(turn_seconds: float) -> AsyncIterator[str]:
    """Serve until the block ends; yields the address that `--policy` takes."""

    async def models(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": "stub", "object": "model", "owned_by": "stub"}]})

    async def chat(request: Request) -> JSONResponse:
        asked = await request.json()
        await asyncio.sleep(turn_seconds)
        return JSONResponse(_completion(play(asked["messages"])))

    app = Starlette(routes=[Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await serving


def play(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the next turn: a closer look at frame 0, then the red square of the picture that came last."""
    parts = [part for message in messages if isinstance(message["content"], list) for part in message["content"]]
    said = " ".join(str(part.get("text", "")) for part in parts)
    asked = _NUMBER.search(said)
    told = f"I am asked for number {asked[1] if asked else 'none'}."
    if not any(message["role"] == "assistant" for message in messages):
        return keyframe_turn(told, 0)
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    with PIL.Image.open(io.BytesIO(base64.b64decode(urls[-1].partition(",")[2]))) as picture:
        box = find_red(np.asarray(picture.convert("RGB")))
    if box is None:
        return absent_turn(told)
    return answer_turn(told, box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))


def find_red(picture: NDArray[np.uint8]) -> tuple[float, float, float, float] | None:
    """Return where the red of uint8 (height, width, 3) lies, x1, y1, x2, y2 in 0..1, or None."""
    red = np.abs(picture.astype(int) - RED).sum(axis=2) < 60
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    if not len(rows):
        return None
    height, width = red.shape
    x1, x2 = float(columns[0]) / width, float(columns[-1] + 1) / width
    return x1, float(rows[0]) / height, x2, float(rows[-1] + 1) / height


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return {
        "id": "stub",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [choice],
        "usage": usage,
    }
