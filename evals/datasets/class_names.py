"""Names of classes: from a data set's own files, or from a file of one's own."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from graphs.openvocab import Vocabulary
from tools.errors import InputError, boundary

_NUMBERED = re.compile(r"\s*(\d+)\s*:(.*)")
_REMEDY = "Write one class a line in the order of the labels, synonyms separated by commas."


def read_classes(path: Path, count: int) -> Vocabulary:
    """Read `count` classes in the order of their labels: a line each, with synonyms separated by commas.

    Lines may be numbered, "1:wall,walls", where number 0 is no class (FC-CLIP's and OpenSeg-R's lists); or the file may
    be a JSON list (CAT-Seg's). Raises InputError if it cannot be read, names the line, and tells another count.
    """
    with boundary(InputError, f"the classes in {path} cannot be read", remedy=_REMEDY):
        text = path.read_text(encoding="utf-8-sig")
        names = [str(name) for name in json.loads(text)] if text.lstrip().startswith("[") else _lines(text)
    return _vocabulary(names, path, count)


def read_object_info(path: Path) -> Vocabulary:
    """Read ADE20K's objectInfo150.txt: columns separated by tabs, the first the label from 1, "Name" the names.

    Raises InputError if it is missing or something else.
    """
    with boundary(InputError, f"{path} cannot be read", remedy="It is part of ADEChallengeData2016.zip."):
        header, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip())
        column = [cell.strip() for cell in header].index("Name")
        if [int(row[0]) for row in rows] != list(range(1, len(rows) + 1)):
            raise InputError(f"{path} does not number its classes from 1.", remedy="Take the published file.")
        names = [row[column] for row in rows]
    return _vocabulary(names, path, 150)


def read_context_labels(path: Path) -> Vocabulary:
    """Read PASCAL Context's labels.txt, "NUMBER: NAME" a line from 1; InputError if it is missing or something else."""
    with boundary(InputError, f"{path} cannot be read", remedy="It is part of PASCAL Context's trainval.tar.gz."):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    numbered = [found for line in lines if (found := _NUMBERED.fullmatch(line)) and int(found[1])]
    if [int(found[1]) for found in numbered] != list(range(1, len(numbered) + 1)):
        raise InputError(f"{path} does not number its classes from 1.", remedy="Take the published file.")
    return _vocabulary([found[2] for found in numbered], path, 459)


def _lines(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    numbered = [found for line in lines if (found := _NUMBERED.fullmatch(line))]
    return [found[2] for found in numbered if int(found[1])] if len(numbered) == len(lines) else lines


def _vocabulary(names: Sequence[str], path: Path, count: int) -> Vocabulary:
    nameless = [number for number, name in enumerate(names, 1) if not name.strip(", \t")]
    if nameless:
        raise InputError(f"class {nameless[0]} in {path} has no name.", remedy=_REMEDY)
    if len(names) != count:
        raise InputError(f"{path} has {len(names)} classes, the data set has {count}.", remedy=_REMEDY)
    return Vocabulary.of(names)
