"""Read Seg-ReSearch's corpus files: one JSON object a line.

Tolerates what published files contain: blank lines, ids used twice, no line break at the end, a byte-order mark.
Everything else is refused by name of file and line, for a record dropped in silence shifts a prebuilt index.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tools.errors import KnowledgeBaseError, boundary
from tools.knowledge.records import ImageRecord, TextRecord

_Record = TypeVar("_Record")

_TEXT_SHAPE = '{"id": 7, "contents": "Title\\nbody"}'
_IMAGE_SHAPE = '{"id": 7, "name": "Torvik Foxes", "filename": "7.png", "image_path": "images/7.png"}'


def read_texts(path: Path) -> list[TextRecord]:
    """Read `text_corpus.jsonl`; KnowledgeBaseError with file and line if it is unreadable."""
    return list(_read(path, _text, _TEXT_SHAPE))


def read_images(path: Path) -> list[ImageRecord]:
    """Read `image_corpus.jsonl`; KnowledgeBaseError with file and line if it is unreadable."""
    return list(_read(path, _image, _IMAGE_SHAPE))


def _read(path: Path, make: Callable[[dict[str, Any]], _Record], shape: str) -> Iterator[_Record]:
    with boundary(KnowledgeBaseError, f"{path} cannot be read", remedy="Check that it is a file you may read."):
        # Lines end at line feeds only: JSON strings may hold the other breaks that str.splitlines cuts at.
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    remedy = f"Each line must be one object like {shape}; mend or remove the line."
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with boundary(KnowledgeBaseError, f"{path}:{number} is broken", remedy=remedy):
            yield make(_object(line))


def _object(line: bytes) -> dict[str, Any]:
    parsed = json.loads(line.decode("utf-8"))
    if not isinstance(parsed, dict):
        raise TypeError(f"it is a JSON {type(parsed).__name__}, not an object")
    return parsed


def _text(fields: dict[str, Any]) -> TextRecord:
    return TextRecord(_id(fields), _string(fields, "contents"))


def _image(fields: dict[str, Any]) -> ImageRecord:
    aliases = fields.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise TypeError('"aliases" must be a list of strings')
    return ImageRecord(
        _id(fields),
        _string(fields, "name"),
        _string(fields, "filename"),
        _string(fields, "image_path"),
        tuple(_encodable(alias) for alias in aliases),
    )


def _id(fields: dict[str, Any]) -> int | str:
    value = fields.get("id")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError('"id" must be a whole number or a string')
    return value


def _string(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f'"{key}" must be a string that is not blank')
    return _encodable(value)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can spell but no file, socket or tokenizer can carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
