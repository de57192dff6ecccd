"""The server under load: many at once, each with a picture and a question of its own, and every answer checked.

`segscout serve` runs as a process of its own; its policy is an endpoint here that answers every turn after 50 ms with
where the red square is in the picture that it was shown. No two requests have the same picture size, place of the
square and number in the question, so an answer that belongs to another request shows: in the size of its mask, in the
mask itself, or in the number that the policy says it was asked for. Clients are OpenAI's, which wait and ask again when
the server says that too much is under way (429); seconds of a request include that waiting. Masks are cut by GrabCut,
which needs no weights. Memory is the server's resident set, from Linux's /proc.

Run `python -m evals.speed.server_load [--requests 2000] [--concurrency 200] [--turn-seconds 0.05]`; prints JSON, and
ends with 1 if an answer was lost or mixed up.
"""

import asyncio
import base64
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import openai
import PIL.Image
import typer
from numpy.typing import NDArray

from evals.speed.stub_endpoint import RED, stub_endpoint
from graphs.masks import decode_rle
from tools.errors import InputError

_SIDES, _COLUMNS, _ROWS = 10, 5, 4
MOST = _SIDES * _SIDES * _COLUMNS * _ROWS
"""So many requests can be told apart."""

_SQUARE = 24
_RETRIES = 1_000
_SERVE = re.compile(rb"serve +(http://\S+/v1)")


@dataclass(frozen=True)
class Server:
    """A running `segscout serve`."""

    url: str
    pid: int

    def resident_mib(self) -> float:
        """Return its resident set in MiB; InputError where there is no /proc."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError as error:
            raise InputError("there is no /proc to read memory from.", remedy="Measure on Linux.") from error
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass
class Tally:
    """What the requests came to; `lost` and `mixed_up` say which and why."""

    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    mixed_up: list[str] = field(default_factory=list)
    resident_mib: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many have ended."""
        return len(self.seconds) + len(self.lost)


def draw(number: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw the picture of a request, uint8 (height, width, 3), and the mask of its square, bool (height, width)."""
    rest, place = divmod(number % MOST, _COLUMNS * _ROWS)
    height, width = 128 + 4 * (rest // _SIDES), 160 + 4 * (rest % _SIDES)
    y, x = 6 + 28 * (place // _COLUMNS), 6 + 28 * (place % _COLUMNS)
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + _SQUARE, x : x + _SQUARE] = True
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[mask] = RED
    return picture, mask


@asynccontextmanager
async def serving(policy: str) -> AsyncIterator[Server]:
    """Run `segscout serve` with this policy until the block ends."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGSCOUT_")}
    options = ("--port", "0", "--policy", policy, "--profile", "embedded", "--segmenter", "grabcut", "--no-fetch")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "serve", *options),
        env={**clean, "COLUMNS": "240", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    reading = None
    try:
        async for line in process.stdout:
            if found := _SERVE.search(line):
                break
        else:
            raise InputError("the server ended without serving.", remedy="Try `segscout serve` by hand.")
        reading = asyncio.create_task(process.stdout.read())
        yield Server(found[1].decode(), process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
        if reading is not None:
            await reading


async def measure(requests: int, concurrency: int, turn_seconds: float) -> dict[str, Any]:
    """Send the requests, `concurrency` at a time, and return what became of them.

    seconds are from the first try to the answer; memory is the server's in MiB, before and after each tenth.
    InputError for more requests than can be told apart.
    """
    if not 0 < requests <= MOST or concurrency < 1:
        raise InputError(f"{requests} requests cannot be told apart.", remedy=f"Send 1 to {MOST}, 1 or more at once.")
    async with stub_endpoint(turn_seconds) as policy, serving(policy) as server:
        limits = openai.DefaultAsyncHttpxClient(timeout=600)
        async with openai.AsyncOpenAI(
            base_url=server.url, api_key="none", max_retries=_RETRIES, http_client=limits
        ) as client:
            tally = Tally(resident_mib={"before": server.resident_mib()})
            start = perf_counter()
            await _send(client, server, requests, concurrency, tally)
            seconds = perf_counter() - start
            told = (await client.get("../metrics", cast_to=str)) or ""
    return {
        "requests": requests,
        "concurrency": concurrency,
        "turn_seconds": turn_seconds,
        "lost": len(tally.lost),
        "mixed_up": len(tally.mixed_up),
        "refused_429": _refused(told),
        "seconds": round(seconds, 2),
        "requests_per_second": round(requests / seconds, 2),
        "p50_seconds": round(float(np.percentile(tally.seconds or [0.0], 50)), 3),
        "p99_seconds": round(float(np.percentile(tally.seconds or [0.0], 99)), 3),
        "resident_mib": {name: round(value, 1) for name, value in tally.resident_mib.items()},
        "reasons": dict(Counter([*tally.lost, *tally.mixed_up]).most_common(5)),
    }


async def _send(client: openai.AsyncOpenAI, server: Server, requests: int, concurrency: int, tally: Tally) -> None:
    numbers = iter(range(requests))
    tenth = max(requests // 10, 1)

    async def worker() -> None:
        for number in numbers:
            start = perf_counter()
            try:
                wrong = await _ask(client, number)
            except openai.OpenAIError as error:
                tally.lost.append(f"{type(error).__name__}: {error}"[:200])
            else:
                tally.seconds.append(perf_counter() - start)
                tally.mixed_up += [wrong] if wrong else []
            if tally.done % tenth == 0:
                tally.resident_mib[f"after {tally.done}"] = server.resident_mib()

    await asyncio.gather(*(worker() for _ in range(min(concurrency, requests))))


async def _ask(client: openai.AsyncOpenAI, number: int) -> str:
    """Ask for the square of one picture; return what in the answer belongs to another request, empty if nothing."""
    picture, mask = draw(number)
    file = io.BytesIO()
    PIL.Image.fromarray(picture).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    reply = await client.chat.completions.create(
        model="segscout",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": f"the red square of number {number}"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            }
        ],
    )
    told = (reply.choices[0].message.model_extra or {}).copy()
    return check(told, number, mask)


def check(told: dict[str, Any], number: int, mask: NDArray[np.bool_]) -> str:
    """Return in a word what in an answer is not that of request `number`; `told` are our fields of its message."""
    if f"asked for number {number}." not in told["reasoning"]:
        return "question"
    masks = told["segmentation"]["masks"]
    if len(masks) != 1:
        return f"{len(masks)} masks"
    found = decode_rle(masks[0]["rle"])
    if found.shape != mask.shape:
        return "size"
    return "" if (found & mask).sum() > 0.8 * (found | mask).sum() else "mask"


def _refused(metrics: str) -> int:
    lines = [line for line in metrics.splitlines() if 'completions",status="429"' in line]
    return int(lines[0].split()[-1]) if lines else 0


def main(
    requests: Annotated[int, typer.Option(help="Requests in all.")] = MOST,
    concurrency: Annotated[int, typer.Option(help="Requests at a time.")] = 200,
    turn_seconds: Annotated[float, typer.Option(help="Seconds of every turn of the policy.")] = 0.05,
) -> None:
    """Put the server under load and print what became of it, as one JSON object."""
    report = asyncio.run(measure(requests, concurrency, turn_seconds))
    typer.echo(json.dumps(report))
    if report["lost"] or report["mixed_up"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
