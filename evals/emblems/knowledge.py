"""A world's knowledge base: in memory with pictures drawn on demand, or written out in Seg-ReSearch's format.

The one place that turns a world into records; training, evaluation and tests all search what is made here.
"""

import json
import os
import shutil
import tempfile
import threading
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL.Image

from evals.emblems.names import Split
from evals.emblems.sprites import sprite
from evals.emblems.world import World, make_world
from tools.errors import InputError, KnowledgeBaseError, boundary
from tools.image_store import Image
from tools.knowledge import ImageRecord, KnowledgeBase, TextRecord
from tools.knowledge.knowledge_base import IMAGE_CORPUS, TEXT_CORPUS
from tools.search.base import ImageHit, TextHit
from tools.search.knowledge_base import KnowledgeBaseSearch

PICTURE_SIDE = 128
"""Side in pixels of an emblem's picture: what the embedded policy is shown, so nothing is resampled on the way."""


def world_records(world: World) -> tuple[list[TextRecord], list[ImageRecord]]:
    """Return a world's text records and one image record a team, whose id is the team's number."""
    texts = [TextRecord(number, f"{title}\n{body}") for number, (title, body) in enumerate(world.records())]
    images = [ImageRecord(n, team.name, f"{n}.png", f"images/{n}.png") for n, team in enumerate(world.teams)]
    return texts, images


def world_knowledge(world: World) -> KnowledgeBase:
    """Index a world's records in memory; its pictures are not drawn."""
    return KnowledgeBase.from_records(*world_records(world))


def emblem_picture(world: World, number: int, side: int = PICTURE_SIDE) -> Image:
    """Draw the picture of a team's emblem for image search: RGB uint8 (side, side, 3) on a pale ground; side <= 224."""
    rng = np.random.default_rng((world.seed, number, 7))
    size = int(side * rng.uniform(0.6, 0.85)) // 4 * 4
    colours, alpha = sprite(world.teams[number].emblem, size, int(4 * rng.integers(-5, 6)))
    ground = np.full((side, side, 3), rng.integers(196, 222, 3), np.float32)
    at = (side - size) // 2
    window = ground[at : at + size, at : at + size]
    window += (colours.astype(np.float32) - window) * alpha[..., None]
    return np.asarray(ground, np.uint8)


class EmblemSearch:
    """Search a world, as a `SearchProvider`; pictures are drawn when they are first found.

    They land as PNG in a temporary folder that lives as long as this object. Safe for concurrent episodes.
    """

    name = "emblems"

    def __init__(self, world: World, knowledge: KnowledgeBase | None = None) -> None:
        """Search `world` through `knowledge`, made from it if not given."""
        self.world = world
        self.knowledge = knowledge or world_knowledge(world)
        self._texts = KnowledgeBaseSearch(self.knowledge)

    @cached_property
    def _folder(self) -> "tempfile.TemporaryDirectory[str]":
        return tempfile.TemporaryDirectory(prefix="segscout-emblems-")

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` text hits, best first."""
        return await self._texts.search_text(query, limit)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` pictures by the names of teams, best first; KnowledgeBaseError if the disk is full."""
        return [
            ImageHit(match.record.name, self._picture(int(match.record.id)), match.source, match.score)
            for match in self.knowledge.match_images(query, limit)
        ]

    def _picture(self, number: int) -> Path:
        path = Path(self._folder.name) / f"{number}.png"
        if not path.exists():
            with boundary(KnowledgeBaseError, f"{path} cannot be written", remedy="Make room in the temporary folder."):
                _write_png(emblem_picture(self.world, number), path)
        return path


def write_knowledge_base(folder: Path, split: Split = "test", seed: int = 0, teams: int = 1000) -> World:
    """Write a world's text corpus, image corpus and pictures where `KnowledgeBase.open` reads them; return the world.

    A thousand teams make 5,200 texts and 1,000 pictures. The folder appears whole or not at all. Raises InputError if
    it holds something already, KnowledgeBaseError if it cannot be written.
    """
    world = make_world(split, seed, teams)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already.", remedy="Name a new or an empty folder.")
    with boundary(
        KnowledgeBaseError, f"{folder} cannot be written", remedy="Check its path, and the room on the disk."
    ):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write(world, partial)
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return world


def _write(world: World, folder: Path) -> None:
    texts, images = world_records(world)
    lines = [json.dumps({"id": text.id, "contents": text.contents}) for text in texts]
    (folder / TEXT_CORPUS).write_text("\n".join(lines) + "\n")
    lines = [
        json.dumps({"id": i.id, "name": i.name, "filename": i.filename, "image_path": i.image_path}) for i in images
    ]
    (folder / IMAGE_CORPUS).write_text("\n".join(lines) + "\n")
    (folder / "images").mkdir()
    for image in images:
        _write_png(emblem_picture(world, int(image.id)), folder / image.image_path)
    folder.chmod(0o755)  # mkdtemp makes it private


def _write_png(image: Image, path: Path) -> None:
    """Write an RGB picture without loss, whole or not at all, so that a concurrent episode never reads half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    PIL.Image.fromarray(image).save(partial, format="png", compress_level=1)
    os.replace(partial, path)
