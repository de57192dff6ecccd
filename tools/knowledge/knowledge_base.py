"""A knowledge base on disk or in memory: texts and named pictures, searched with words and vectors together.

Reads the corpus format of Seg-ReSearch (iSEE-Laboratory/Seg-ReSearch, `data/local_KB`). Images are found by the names
of what they show; pictures themselves are not embedded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tools.embedders import load_embedder
from tools.embedders.base import Embedder
from tools.errors import InputError, KnowledgeBaseError
from tools.knowledge.corpus import read_images, read_texts
from tools.knowledge.dense_index import DenseIndex, load_index
from tools.knowledge.fusion import Weights
from tools.knowledge.index import HybridIndex
from tools.knowledge.pictures import find_picture
from tools.knowledge.records import ImageRecord, TextRecord, sources
from tools.search.base import ImageHit, TextHit

TEXT_CORPUS = "text_corpus.jsonl"
IMAGE_CORPUS = "image_corpus.jsonl"
_TEXT_INDEX = "e5_Flat.index"
_IMAGE_INDEX = "image_e5_Flat.index"


@dataclass(frozen=True)
class ImageMatch:
    """An image record that a query matched, before anyone asks for its picture."""

    record: ImageRecord
    source: str
    score: float


_REMEMBERED = 4096
"""Queries whose results are kept: the episodes of a training group ask the same."""


class KnowledgeBase:
    """Search texts and pictures. Nothing changes after construction, so threads may search together."""

    def __init__(
        self,
        texts: Sequence[TextRecord],
        images: Sequence[ImageRecord],
        text_index: HybridIndex,
        image_index: HybridIndex,
        embedder: Embedder,
        directory: Path | None,
    ) -> None:
        """Put the parts together; callers want `open` or `from_records`."""
        self.texts = tuple(texts)
        self.images = tuple(images)
        self.embedder = embedder
        self.directory = directory
        self._rank_texts = lru_cache(_REMEMBERED)(text_index.rank)
        self._rank_images = lru_cache(_REMEMBERED)(image_index.rank)
        self._text_sources = sources("text", (record.id for record in texts))
        self._image_sources = sources("image", (record.id for record in images))

    @classmethod
    def open(
        cls, path: Path | str, embedder: Embedder | str = "hashing", weights: Weights | None = None
    ) -> "KnowledgeBase":
        """Read a folder with `text_corpus.jsonl`, `image_corpus.jsonl` or both.

        `embedder` is one, or a name for `load_embedder`; with e5, a prebuilt `e5_Flat.index` is used if it is there.
        Raises KnowledgeBaseError for a missing or broken folder, EmbedderError for missing weights.
        """
        directory = Path(path)
        if not directory.is_dir():
            raise KnowledgeBaseError(f"{directory} is not a folder.", remedy=f"Name a folder that holds {TEXT_CORPUS}.")
        text_file, image_file = directory / TEXT_CORPUS, directory / IMAGE_CORPUS
        if not text_file.exists() and not image_file.exists():
            raise KnowledgeBaseError(
                f"{directory} holds neither {TEXT_CORPUS} nor {IMAGE_CORPUS}.", remedy="Put at least one of them there."
            )
        texts = read_texts(text_file) if text_file.exists() else []
        images = read_images(image_file) if image_file.exists() else []
        chosen = load_embedder(embedder) if isinstance(embedder, str) else embedder
        prebuilt = (
            _prebuilt(directory / _TEXT_INDEX, len(texts), chosen),
            _prebuilt(directory / _IMAGE_INDEX, len(images), chosen),
        )
        return cls._index(texts, images, chosen, weights or Weights(), directory, prebuilt)

    @classmethod
    def from_records(
        cls,
        texts: Sequence[TextRecord],
        images: Sequence[ImageRecord] = (),
        *,
        embedder: Embedder | str = "hashing",
        weights: Weights | None = None,
        directory: Path | None = None,
    ) -> "KnowledgeBase":
        """Index records in memory; `directory` holds their pictures, if they lie on disk.

        Without a directory, image hits carry `image_path` as it stands, unchecked: the pictures are the caller's.
        """
        chosen = load_embedder(embedder) if isinstance(embedder, str) else embedder
        return cls._index(texts, images, chosen, weights or Weights(), directory, (None, None))

    @classmethod
    def _index(
        cls,
        texts: Sequence[TextRecord],
        images: Sequence[ImageRecord],
        embedder: Embedder,
        weights: Weights,
        directory: Path | None,
        prebuilt: tuple[DenseIndex | None, DenseIndex | None],
    ) -> "KnowledgeBase":
        text_index = HybridIndex([record.contents for record in texts], embedder, weights, prebuilt[0])
        image_index = HybridIndex([record.contents for record in images], embedder, weights, prebuilt[1])
        return cls(texts, images, text_index, image_index, embedder, directory)

    def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return at most `limit` texts, best first, whole bodies as snippets; InputError if `limit` is below 1."""
        ranked = self._rank_texts(query, _checked(limit))
        return [
            TextHit(self.texts[row].title, self.texts[row].body, self._text_sources[row], score)
            for row, score in ranked
        ]

    def match_images(self, query: str, limit: int) -> list[ImageMatch]:
        """Return at most `limit` image records by name and alias, best first, without looking for the pictures."""
        ranked = self._rank_images(query, _checked(limit))
        return [ImageMatch(self.images[row], self._image_sources[row], score) for row, score in ranked]

    def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return at most `limit` pictures by name and alias, best first; KnowledgeBaseError if one is missing."""
        return [
            ImageHit(match.record.name, self.picture(match.record), match.source, match.score)
            for match in self.match_images(query, limit)
        ]

    def picture(self, record: ImageRecord) -> Path:
        """Return the file of an image record; KnowledgeBaseError if the knowledge base's folder lacks it."""
        return Path(record.image_path) if self.directory is None else find_picture(self.directory, record)


def _checked(limit: int) -> int:
    if limit < 1:
        raise InputError(f"a search cannot return {limit} results.", remedy="Ask for at least 1.")
    return limit


def _prebuilt(path: Path, rows: int, embedder: Embedder) -> DenseIndex | None:
    """Load the index that Seg-ReSearch ships, made by e5; of no use to any other embedder."""
    if embedder.name != "e5" or not path.exists():
        return None
    return load_index(path, rows=rows, dimension=embedder.dimension)
