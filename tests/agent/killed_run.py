"""A run that stops dead in a node of the test's choice, for a process that is then killed; and the same run whole."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from agent_stubs import FACT, FPS, HEIGHT, WIDTH, frames, square
from graph_stubs import BoxSegmenter

from agent import Result, SegmentationAgent
from graphs.conversation import ImageRef
from graphs.dialects.seg_research import answer_turn, keyframe_turn
from graphs.policies.replay import ReplayPolicy
from tools.media import Media, sample_frames
from tools.search.base import ImageHit, TextHit

COUNT = 12
NODES = ("plan", "search", "observe", "reason", "localize")
UNSHOWN = next(index for index in range(COUNT) if index not in sample_frames(COUNT, 4))
QUERY, THREAD = "the emblem of the Otters", "../the cup; DROP TABLE"


def script() -> list[str]:
    """Two searches in one turn, a look at a frame that was not shown, and the true box."""
    x1, y1, x2, y2 = square(0)
    box = (x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT)
    calls = [{"name": "text_search", "query": "Otters"}, {"name": "image_search", "query": "red square"}]
    return [
        f"<thinking> who </thinking>\n<search> {json.dumps(calls)} </search>",
        keyframe_turn("A red square.", UNSHOWN),
        answer_turn("There.", box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)),
    ]


class Stop:
    """Stops for ever at one place, and says so in the folder."""

    def __init__(self, node: str | None, folder: Path) -> None:
        self.node, self.folder = node, folder

    def at(self, node: str) -> None:
        if node == self.node:
            (self.folder / f"in-{node}").touch()
            threading.Event().wait()

    def paid(self, query: str) -> None:
        with (self.folder / "paid").open("a") as file:
            file.write(f"{query}\n")


class Policy(ReplayPolicy):
    """Plays the script, and must be able to see every picture of the conversation."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(script())
        self.stop = stop

    async def complete(self, turns, images, **options):
        for part in (part for turn in turns for part in turn.parts):
            assert not isinstance(part, ImageRef) or images.get(part.sha256).shape == (part.height, part.width, 3)
        played = sum(turn.role == "assistant" for turn in turns)
        self.stop.at({0: "plan", 1: "reason"}.get(played, ""))
        self.stop.paid(f"turn {played}")
        return await super().complete(turns, images, **options)


class PaidSearch:
    name = "paid"

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        self.stop.paid(query)
        return [TextHit("Otters", FACT, "https://otters.example", 1.0)]

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        if self.stop.node == "search":
            while not list(self.stop.folder.glob("runs.db.files/*/searches/*/*.json")):
                await asyncio.sleep(0.01)  # until the other search, which was answered, is on the disk
        self.stop.at("search")
        self.stop.paid(query)
        return [ImageHit("a square", self.stop.folder / "found.png", "https://squares.example", 1.0)]


class Segmenter(BoxSegmenter):
    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self.stop = stop

    def propagate(self, frames, prompts: Sequence, keyframe: int) -> Iterator:
        for done, cut in enumerate(super().propagate(frames, prompts, keyframe)):
            if done == 3:
                self.stop.at("localize")
            yield cut


class Clip(list):
    """Frames; one that was not shown is read when the policy asks to look at it."""

    stop: Stop | None = None

    def __getitem__(self, index):
        if index == UNSHOWN and self.stop is not None:
            self.stop.at("observe")
        return super().__getitem__(index)


def media(stop: Stop) -> Media:
    clip = Clip([*frames(), *frames()])
    clip.stop = stop
    return Media("video", clip, WIDTH, HEIGHT, FPS, "clip", "fingerprint")


def play(folder: Path, node: str | None, *, thread: str | None = THREAD) -> Result:
    """Run, in a thread kept in the folder; stops for ever in `node`."""
    stop = Stop(node, folder)
    player = SegmentationAgent(
        Policy(stop), segmenter=Segmenter(stop), search=PaidSearch(stop), checkpoints=folder / "runs.db"
    )
    return player.segment(media(stop), QUERY, thread_id=thread)


def draw_found(folder: Path) -> None:
    """Put the picture there that the image search finds."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "found.png")


def wait_for(path: Path, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} never came"
        time.sleep(0.01)
