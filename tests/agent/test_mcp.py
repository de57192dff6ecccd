"""The tools of the Model Context Protocol, by the official client: in process, and once over a process of its own."""

import asyncio
import base64
import io
import json
import os
import socket
import sys
import threading
from contextlib import asynccontextmanager

import httpx2 as httpx
import PIL.Image
import pytest
from agent_stubs import FACT, FRAMES, ROOT, agent, cli, frames, script, square, write_clip
from chat_server import chat_server, hang, said
from pycocotools import mask as coco
from server_stubs import HeldPolicy, png

from agent import SegmentationAgent
from agent.commands.mcp import check_mcp, serve_http
from agent.server.web_media import web_media
from tools.errors import InputError
from tools.media import Limits

pytest.importorskip("mcp", reason="needs the extra mcp")

from mcp import Client, StdioServerParameters, stdio_client

from agent.mcp.media import MediaDoor
from agent.mcp.server import make_server

IMAGE = base64.b64encode(png()).decode()


@asynccontextmanager
async def connected(player=None, *, root=None, fetcher=None):
    async with Client(make_server(player or agent(script(0)), MediaDoor(root, fetcher))) as client:
        yield client


def told(result) -> str:
    assert result.is_error
    return result.content[0].text


async def test_a_picture_brings_masks_sources_steps_and_an_overlay():
    heard = []

    async def progress(done, total, message):
        heard.append((done, message))

    async with connected() as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"segment_image", "segment_video"}
        call = {"query": "the emblem", "data": f"data:image/png;base64,{IMAGE}"}
        result = await client.call_tool("segment_image", call, progress_callback=progress)
    found = result.structured_content
    x1, y1, x2, y2 = square(0)
    assert (found["ending"], found["frame"], found["frames"]) == ("found", 0, 1)
    assert found["objects"][0]["box"] == pytest.approx([x1, y1, x2, y2], abs=0.1)
    rle = found["objects"][0]["masks"][0]["rle"]
    assert coco.area(rle) == (x2 - x1) * (y2 - y1)
    assert found["citations"][0]["snippet"] == FACT
    assert [done for done, _ in heard] == list(range(1, len(heard) + 1))
    assert [message for _, message in heard] == found["steps"]
    assert "Search (text): emblem of the Otters" in found["steps"]
    words, picture = result.content
    assert words.text.startswith("Found one object")
    assert PIL.Image.open(io.BytesIO(base64.b64decode(picture.data))).size == (80, 50)
    assert picture.mime_type == "image/jpeg"


async def test_a_video_brings_the_answered_frame_or_all(tmp_path):
    write_clip(tmp_path / "clip.mp4")
    async with connected(agent(script(2) * 2), root=tmp_path) as client:
        one = await client.call_tool("segment_video", {"query": "x", "path": "clip.mp4", "overlay": False})
        every = await client.call_tool("segment_video", {"query": "x", "path": "clip.mp4", "all_frames": True})
        wrong = told(await client.call_tool("segment_image", {"query": "x", "path": "clip.mp4"}))
    masks = [[m["frame"] for m in r.structured_content["objects"][0]["masks"]] for r in (one, every)]
    assert masks == [[2], list(range(FRAMES))]
    assert [block.type for block in one.content] == ["text"]
    assert "segment_video" in wrong


async def test_a_large_picture_is_shown_small():
    large = io.BytesIO()
    PIL.Image.fromarray(frames(1)[0]).resize((3000, 1500)).save(large, "PNG")
    async with connected() as client:
        call = {"query": "x", "data": base64.b64encode(large.getvalue()).decode()}
        result = await client.call_tool("segment_image", call)
    assert PIL.Image.open(io.BytesIO(base64.b64decode(result.content[1].data))).size == (1024, 512)


async def test_nothing_outside_the_media_root_is_read(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "root-of-others"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.png").write_bytes(png())
    (root / "link.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "inside.png").write_bytes(png())
    (root / "alias.png").symlink_to("inside.png")
    paths = ("../root-of-others/secret.png", str(outside / "secret.png"), "link.png", "folder/secret.png", "..", "a\0b")
    async with connected(agent(script(0) * 2), root=root) as client:
        refused = [told(await client.call_tool("segment_image", {"query": "x", "path": path})) for path in paths]
        missing = told(await client.call_tool("segment_image", {"query": "x", "path": "../root-of-others/none.png"}))
        home = told(await client.call_tool("segment_image", {"query": "x", "path": "~/secret.png"}))
        for path in ("alias.png", str(root / "inside.png")):
            assert not (await client.call_tool("segment_image", {"query": "x", "path": path})).is_error
    assert all("media root" in said for said in [*refused, missing])
    assert "does not exist" in home


@pytest.mark.parametrize(
    ("call", "said_"),
    [
        ({}, "exactly one"),
        ({"path": "a.png", "data": IMAGE}, "exactly one"),
        ({"path": "a.png"}, "--media-root"),
        ({"url": "https://example.org/a.png"}, "follows no URLs"),
        ({"data": "%%%"}, "base64 is damaged"),
        ({"data": base64.b64encode(b"no picture at all").decode()}, "media"),
        ({"data": IMAGE, "query": " "}, "the query is empty"),
    ],
)
async def test_what_cannot_be_is_the_tools_error_with_a_remedy(call, said_):
    async with connected() as client:
        assert said_ in told(await client.call_tool("segment_image", {"query": "x"} | call))


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/a.png", "http://169.254.169.254/x", "http://[::1]/", "file:///x"])
async def test_only_public_addresses_are_followed(url):
    async with connected(fetcher=web_media(Limits())) as client:
        said_ = told(await client.call_tool("segment_image", {"query": "x", "url": url}))
    assert "public internet" in said_ or "no web address" in said_


async def test_a_part_that_breaks_is_told_and_an_object_that_is_absent_is_an_answer():
    async with connected(agent([])) as client:
        assert "policy" in told(await client.call_tool("segment_image", {"query": "x", "data": IMAGE}))
    absent = "<thinking> no </thinking>\n<answer> absent </answer>"
    async with connected(agent([absent])) as client:
        result = await client.call_tool("segment_image", {"query": "x", "data": IMAGE})
    assert (result.is_error, result.structured_content["ending"]) == (False, "absent")
    assert result.structured_content["objects"] == []


async def test_a_cancelled_call_cancels_its_episode():
    policy = HeldPolicy(script(0))
    player = SegmentationAgent(policy, segmenter=None)
    async with connected(player) as client:
        call = asyncio.create_task(client.call_tool("segment_image", {"query": "x", "data": IMAGE}))
        async with asyncio.timeout(10):
            while not policy.came:
                await asyncio.sleep(0.01)
            call.cancel()
            while not policy.cancelled:
                await asyncio.sleep(0.01)
        policy.go.set()
        assert not (await client.call_tool("segment_image", {"query": "x", "data": IMAGE})).is_error


def test_slips_are_told_before_anything_is_loaded(tmp_path):
    ran = cli("mcp", "--media-root", "none", cwd=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "--media-root" in ran.err


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("agent.commands.mcp.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"\.\[mcp\]"):
        check_mcp(None, None)


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--http"):
        check_mcp(None, taken.getsockname()[1])


async def test_on_the_loopback_only_this_machine_is_answered():
    sock = check_mcp(None, 0)
    host, port = sock.getsockname()
    server = make_server(agent(script(0)), MediaDoor(None, None))
    threading.Thread(target=serve_http, args=(server, sock), daemon=True).start()
    url = f"http://{host}:{port}/mcp"
    async with Client(url) as client:
        result = await client.call_tool("segment_image", {"query": "x", "data": IMAGE})
    assert result.structured_content["ending"] == "found"
    assert host == "127.0.0.1"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    ask = {"Accept": "application/json, text/event-stream"}
    for foreign in ({"Host": "attacker.example"}, {"Origin": "https://attacker.example"}):
        async with httpx.AsyncClient() as web:
            assert (await web.post(url, json=body, headers=ask | foreign)).status_code in (403, 421)


@pytest.mark.slow
async def test_over_a_process_only_the_protocol_is_on_standard_output(tmp_path):
    write_clip(tmp_path / "clip.mp4")
    with chat_server() as server:
        server.answers = [*(said(turn) for turn in script(0)), *(said(turn) for turn in script(2)), hang(20)]
        run = [sys.executable, "-m", "agent", "mcp", "--media-root", str(tmp_path), "--policy", server.url]
        run += ["--profile", "embedded", "--segmenter", "grabcut"]
        line = " ".join(run) + f" 2>{tmp_path}/people | tee {tmp_path}/wire"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEGSCOUT_API_KEY": "very-secret"}
        process = StdioServerParameters(command="sh", args=["-c", line], env=environment, cwd=tmp_path)
        async with Client(stdio_client(process)) as client:
            assert len((await client.list_tools()).tools) == 2
            image = await client.call_tool("segment_image", {"query": "red", "data": IMAGE})
            video = await client.call_tool("segment_video", {"query": "red", "path": "clip.mp4"})
            error = told(await client.call_tool("segment_video", {"query": "red", "path": "../clip.mp4"}))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.call_tool("segment_image", {"query": "red", "data": IMAGE})
            assert (await client.list_tools()).tools  # it still answers
    assert image.structured_content["ending"] == video.structured_content["ending"] == "found"
    assert video.structured_content["frame"] == 2
    assert "media root" in error
    wire = (tmp_path / "wire").read_text().splitlines()
    assert len(wire) > 5
    assert all(json.loads(one)["jsonrpc"] == "2.0" for one in wire)
    people = (tmp_path / "people").read_text()
    assert "serve" in people
    assert "Traceback" not in people
    assert "very-secret" not in people + "\n".join(wire)
