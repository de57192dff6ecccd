"""Small stand-ins for policy, search and segmenter, whose behaviour a test can see through."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from graphs.budget import Budget
from graphs.context import Context
from graphs.dialects.base import View
from graphs.dialects.seg_research import SegResearch
from graphs.policies.base import Policy
from graphs.policies.replay import ReplayPolicy
from tools.errors import SearchError
from tools.image_store import Image
from tools.search.base import ImageHit, TextHit
from tools.segmenters.base import Frames, Prompt, Segment

VIEW = View(frames=3, frame_size=32, keyframe_size=64, image_size=16)
DIALECT = SegResearch(VIEW, "compact")


def clip(frames: int = 5, height: int = 40, width: int = 80) -> list[Image]:
    """Frames that all differ, so that a wrong frame index shows."""
    return [np.full((height, width, 3), 10 + 20 * i, np.uint8) for i in range(frames)]


class BoxSegmenter:
    """Fills the box, or a pixel at the point; the score counts the frames away from the keyframe."""

    name = "box"

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, tuple[Prompt, ...]]] = []

    def _cut(self, image: Image, prompt: Prompt, score: float) -> Segment:
        mask = np.zeros(image.shape[:2], bool)
        if prompt.box is not None:
            x1, y1, x2, y2 = (round(v) for v in prompt.box)
            mask[y1:y2, x1:x2] = True
        for x, y in prompt.points:
            mask[int(y), int(x)] = True
        return Segment(mask, score)

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        self.calls.append(("segment", 0, tuple(prompts)))
        return [self._cut(image, prompt, 1.0) for prompt in prompts]

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        self.calls.append(("propagate", keyframe, tuple(prompts)))
        for index in [*range(keyframe, len(frames)), *range(keyframe - 1, -1, -1)]:
            yield index, [self._cut(frames[index], p, 1.0 / (1 + abs(index - keyframe))) for p in prompts]


class DictSearch:
    """Answers from a dictionary; `delay` seconds each, `broken` counts the failures to come."""

    name = "dict"

    def __init__(self, texts: dict[str, str] | None = None, *, delay: float = 0.0, broken: int = 0) -> None:
        self.texts = texts or {}
        self.images: dict[str, Path] = {}
        self.delay, self.broken = delay, broken
        self.queries: list[str] = []
        self.at_once = self.most_at_once = 0

    async def _wait(self, query: str) -> None:
        self.queries.append(query)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.at_once -= 1
        if self.broken > 0:
            self.broken -= 1
            raise SearchError("the index is on fire.", remedy="Put it out.")

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        await self._wait(query)
        found = [TextHit(k, v, f"doc:{k}", 1.0) for k, v in self.texts.items() if k in query]
        return found[:limit]

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        await self._wait(query)
        return [ImageHit(k, v, f"img:{k}", 1.0) for k, v in self.images.items() if k in query][:limit]


def context(policy: Policy | Sequence[str], **changes: object) -> Context:
    """A context with stubs everywhere; `policy` may be a script."""
    if isinstance(policy, Sequence):
        policy = ReplayPolicy(policy)
    settings: dict[str, object] = {
        "policy": policy,
        "dialect": DIALECT,
        "segmenter": BoxSegmenter(),
        "search": DictSearch({"Helsa": "The Helsa Cup was won by the Otters."}),
        "budget": Budget(),
    }
    return Context(**(settings | changes))  # type: ignore[arg-type]
