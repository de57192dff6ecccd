"""Vocabularies: the classes that a picture may be labelled with, and the published file format of them."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.errors import InputError, boundary

_LINE = re.compile(r"\s*(\d{1,9})\s*:(.*)")
_REMEDY = "Write one class a line as ID:NAME,SYNONYM,… with ids of their own; id 0 is no class."


@dataclass(frozen=True)
class VocabularyClass:
    """A class: its id in the dataset, its names (the first is shown), and whether it is counted (else it is stuff)."""

    id: int
    names: tuple[str, ...]
    thing: bool = True

    @property
    def name(self) -> str:
        """The first name."""
        return self.names[0]


@dataclass(frozen=True)
class Vocabulary:
    """Classes in order; everything else refers to them by their place here, from 0. Raises InputError if empty."""

    classes: tuple[VocabularyClass, ...]

    def __post_init__(self) -> None:
        if not self.classes:
            raise InputError("the vocabulary has no class.", remedy=_REMEDY)
        ids = [one.id for one in self.classes]
        if len(set(ids)) < len(ids) or not all(one.names for one in self.classes):
            raise InputError("two classes have one id, or a class has no name.", remedy=_REMEDY)

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def digest(self) -> str:
        """A fingerprint of all ids and names, hexadecimal: what is cached for a vocabulary is found by it."""
        text = "\n".join(f"{one.id}:{','.join(one.names)}" for one in self.classes)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of every name and synonym, case folded; of a name that two classes share, the first's."""
        found: dict[str, int] = {}
        for place, one in enumerate(self.classes):
            for name in one.names:
                found.setdefault(plain_name(name), place)
        return found

    @staticmethod
    def of(names: Sequence[str], *, stuff: Collection[str] = ()) -> "Vocabulary":
        """Make a vocabulary of names, numbered from 1; commas in a name part synonyms; `stuff` are first names."""
        split = [split_names(name) for name in names]
        return Vocabulary(
            tuple(VocabularyClass(n, some, not some or some[0] not in stuff) for n, some in enumerate(split, 1))
        )


def plain_name(name: str) -> str:
    """Return a name with case folded and blanks and underscores made single spaces, to compare it by."""
    return " ".join(name.replace("_", " ").casefold().split())


def split_names(text: str) -> tuple[str, ...]:
    """Return the comma-separated names in `text`, without blanks around them and without doubles."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := " ".join(part.split()))))


def read_vocabulary(path: str | Path, *, stuff: Collection[str] = ()) -> Vocabulary:
    """Read the published class list, `ID:NAME,SYNONYM,…` a line; id 0, which is no class, is left out.

    `stuff` names the classes that are not counted. Raises InputError for a file that cannot be read and names the line.
    """
    with boundary(InputError, f"the vocabulary {path} cannot be read", remedy=_REMEDY):
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    classes = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        names = split_names(found.group(2)) if found else ()
        if found is None or not names:
            raise InputError(f"line {number} of {path} is no class: {line[:60]!r}.", remedy=_REMEDY)
        if int(found.group(1)):
            classes.append(VocabularyClass(int(found.group(1)), names, names[0] not in stuff))
    return Vocabulary(tuple(classes))
