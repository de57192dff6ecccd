"""`segscout serve` as a process of its own: what it refuses to do, and what it does with the parts that ship."""

import asyncio
import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import PIL.Image
import pytest
from agent_stubs import ROOT, Ran, cli
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from server_stubs import Served, data_uri, fenced, image, user

from agent.commands.demo import demo_task

KEY = "a-key-of-sixteen-characters"
CLIP = 3  # in-video: needs no knowledge base
EXAMPLE = ROOT / "agent/server/example"


@contextmanager
def process(folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[Served, subprocess.Popen[str]]]:
    """Run the command until the block ends, on a free port."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGSCOUT_")}
    ran = subprocess.Popen(
        [sys.executable, "-m", "agent", "serve", "--port", "0", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "240", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.stdout is not None
    try:
        for line in ran.stdout:
            if found := re.search(r"serve +(http://\S+)/v1", line):
                break
        else:
            raise AssertionError("it ended without serving")
        yield Served(found[1]), ran
    finally:
        ran.kill()
        ran.wait(10)
        ran.stdout.close()


async def ask_together(
    server: Served, picture: list[dict[str, Any]], clip: list[dict[str, Any]]
) -> tuple[ChatCompletion, list[ChatCompletionChunk]]:
    """Ask with the asynchronous client about a picture, whole, and at the same time about a clip, streamed."""

    async def stream() -> list[ChatCompletionChunk]:
        options = {"include_usage": True}
        got = await client.chat.completions.create(model="segscout", messages=clip, stream=True, stream_options=options)
        return [chunk async for chunk in got]

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        whole = client.chat.completions.create(model="segscout", messages=picture)
        return await asyncio.gather(whole, stream())


def refused(ran: Ran) -> str:
    assert ran.code == 2
    assert "Traceback" not in ran.err
    return ran.err


def test_without_a_key_it_stays_on_this_machine(tmp_path):
    assert "SEGSCOUT_SERVER_KEY" in refused(cli("serve", "--host", "0.0.0.0", cwd=tmp_path))


def test_slips_are_told_before_anything_is_loaded(tmp_path):
    start = time.monotonic()
    assert "--port" in refused(cli("serve", "--host", "203.0.113.1", cwd=tmp_path, SEGSCOUT_SERVER_KEY=KEY))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "--port" in refused(cli("serve", "--port", str(taken.getsockname()[1]), cwd=tmp_path))
    (tmp_path / "short").write_text("abc\n")
    told = refused(cli("serve", "--api-key-file", "short", cwd=tmp_path))
    assert "token_urlsafe" in told
    assert "abc" not in told
    assert "cannot be read" in refused(cli("serve", "--api-key-file", "none", cwd=tmp_path))
    assert time.monotonic() - start < 60


@pytest.mark.slow
def test_official_clients_meet_the_embedded_policy(tmp_path):
    task = demo_task(CLIP)
    picture = io.BytesIO()
    PIL.Image.fromarray(task.clip[0]).save(picture, "PNG")
    shown = image(data_uri(picture.getvalue(), "image/png"))
    clip = {"type": "video_url", "video_url": {"url": data_uri((EXAMPLE / "clip.mp4").read_bytes(), "video/mp4")}}
    (tmp_path / "key").write_text(f"{KEY}\n")
    with process(tmp_path, "--api-key-file", "key", "--kb", str(EXAMPLE / "kb"), TMPDIR=str(tmp_path)) as (server, ran):
        client = server.client(api_key=KEY)
        first = [user(task.query, shown)]
        reply = client.chat.completions.create(model="segscout", messages=first)
        found = fenced(reply.choices[0].message.content)
        follow = [*first, {"role": "assistant", "content": reply.choices[0].message.content}, user(task.query)]
        again = client.chat.completions.create(model="segscout", messages=follow)
        asked = [user("the emblem of the team that won the 2032 Estifell Cup", clip)]
        chunks = list(client.chat.completions.create(model="segscout", messages=asked, stream=True))
        whole, streamed = asyncio.run(ask_together(server, first, asked))
        with pytest.raises(openai.AuthenticationError):
            server.client(api_key="wrong").models.list()
        with pytest.raises(openai.NotFoundError, match="no model"):
            client.chat.completions.create(model="gpt-5", messages=first)
        with pytest.raises(openai.BadRequestError, match="no message shows"):
            client.chat.completions.create(model="segscout", messages=[user("hello")])
        upload = {"file": ("../../x.png", picture.getvalue(), "image/png")}
        headers = {"Authorization": f"Bearer {KEY}"}
        posted = httpx.post(
            f"{server.url}/v1/segment", files=upload, data={"query": task.query}, headers=headers, timeout=60
        )
        assert list(tmp_path.glob("segscout-serve-*/*/overlay.mp4"))
        ran.send_signal(signal.SIGTERM)
        ran.wait(20)
        told = ran.stdout.read()
    assert found["ending"] == "found"
    assert found["masks"][0]["rle"]["size"] == list(task.clip[0].shape[:2])
    assert fenced(again.choices[0].message.content)["masks"] == found["masks"]
    assert fenced(whole.choices[0].message.content)["masks"] == found["masks"]
    assert streamed[0].choices[0].delta.role == "assistant"
    assert streamed[-1].choices == []
    assert streamed[-1].usage.total_tokens > 0
    said = "".join(chunk.choices[0].delta.content or "" for chunk in streamed[:-1])
    assert said.startswith("Found one object")
    assert chunks[-1].choices[0].finish_reason == "stop"
    segmentation = chunks[-1].choices[0].delta.model_extra["segmentation"]
    assert [mask["frame"] for mask in segmentation["masks"]] == list(range(16))
    assert segmentation["masks"][0]["bbox"] == pytest.approx([149, 204, 74, 75], abs=3)  # as the README shows
    assert "Lorergate Riders is a dotted white cross" in segmentation["citations"][2]["snippet"]
    assert posted.json()["masks"][0]["bbox"] == found["masks"][0]["bbox"]
    assert not list(tmp_path.glob("segscout-serve-*"))
    assert KEY not in told
    assert "Traceback" not in told
    assert base64.b64encode(KEY.encode()).decode() not in told
