"""A small web on the loopback: a server that says what a test tells it to, names that resolve as a test likes."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpcore2
import numpy as np
import PIL.Image

from tools.web import Fetcher, FetchLimits

PUBLIC = "93.184.216.34"


@dataclass
class Asked:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Site:
    """Answers by path, the query left out: bytes to send, a handler that writes them, or a list used up in turn."""

    answers: dict[str, bytes | Handler | list[bytes | Handler]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.asked.append(Asked(method, path, headers, body))
            answer = self.answers.get(path.partition("?")[0], reply(b"not here", status=404))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answers=None, ssl=None):
    site = Site(dict(answers or {}))
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=ssl)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


def reply(body: bytes = b"", kind: str = "text/html", status: int = 200, **headers: str) -> bytes:
    told = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reply_json(value, status: int = 200, **headers: str) -> bytes:
    return reply(json.dumps(value).encode(), "application/json", status, **headers)


def moved(to: str, status: int = 302) -> bytes:
    return reply(b"", status=status, Location=to)


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


def picture_bytes(width: int = 8, height: int = 6, form: str = "PNG", seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, form)
    return file.getvalue()


class Dial(httpcore2.AsyncNetworkBackend):
    """Connects to `site` whatever address is asked for, and notes which was."""

    def __init__(self, site: Site | None) -> None:
        self.site = site
        self.dialled: list[tuple[str, int]] = []
        self.dead: set[str] = set()

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append((host, port))
        if host in self.dead or self.site is None:
            raise httpcore2.ConnectError("no answer")
        return await httpcore2.AnyIOBackend().connect_tcp("127.0.0.1", self.site.port)


class Names:
    """Resolves what it is told, in turn where it is told several answers; every other name is public."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(them) for name, them in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            return [PUBLIC]
        them = self.answers[host]
        return them.pop(0) if len(them) > 1 else them[0]


def fetcher_of(site: Site | None, names: Names | None = None, *, trust=None, **limits) -> tuple[Fetcher, Dial]:
    """A fetcher with all its guards, whose public web is `site`."""
    dial = Dial(site)
    limits = {"seconds": 5.0} | limits
    return Fetcher(FetchLimits(**limits), resolve=names or Names(), dial=dial, trust=trust), dial


def write_picture(path: Path, **kwargs) -> Path:
    path.write_bytes(picture_bytes(**kwargs))
    return path
