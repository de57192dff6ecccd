"""Find the file of an image record, and never one outside the knowledge base."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tools.errors import KnowledgeBaseError, boundary
from tools.knowledge.records import ImageRecord


def find_picture(directory: Path, record: ImageRecord) -> Path:
    """Return the picture of `record` inside `directory`; KnowledgeBaseError if there is none.

    `image_path` is relative to the project that made the corpus (`data/local_KB/images/x.png`), so its endings are
    tried from the longest to the bare name, then `filename` in `images/` and beside the corpus.
    """
    remedy = f"Put it at {directory / 'images' / record.filename}, or remove the record from image_corpus.jsonl."
    with boundary(KnowledgeBaseError, f"the picture of {record.name!r} cannot be read", remedy=remedy):
        root = directory.resolve()
        for candidate in _candidates(record):
            # Resolved first: neither `..`, nor an absolute path, nor a link may lead out of the folder.
            path = (root / candidate).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
    raise KnowledgeBaseError(f"the picture of {record.name!r} is missing from {directory}.", remedy=remedy)


def _candidates(record: ImageRecord) -> Iterator[PurePosixPath]:
    parts = PurePosixPath(record.image_path).parts
    for start in range(len(parts)):
        yield PurePosixPath(*parts[start:])
    yield PurePosixPath("images", record.filename)
    yield PurePosixPath(record.filename)
