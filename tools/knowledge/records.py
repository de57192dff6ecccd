"""What a knowledge base holds: text records and named pictures, in the shape of Seg-ReSearch's corpus files."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextRecord:
    """One text: `contents` is the title, a line break, the body. `id` need not be unique (published corpora repeat)."""

    id: int | str
    contents: str

    @property
    def title(self) -> str:
        """Return the first line."""
        return self.contents.partition("\n")[0]

    @property
    def body(self) -> str:
        """Return everything after the first line."""
        return self.contents.partition("\n")[2]


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of something with a name; `image_path` is relative to whatever folder the corpus was made in."""

    id: int | str
    name: str
    filename: str
    image_path: str
    aliases: tuple[str, ...] = ()

    @property
    def contents(self) -> str:
        """Return what a query is matched with: the name and the aliases, one a line."""
        return "\n".join((self.name, *self.aliases))


def sources(kind: str, ids: Iterable[int | str]) -> list[str]:
    """Name each record for citation, as `kb:text/123`; a repeated id gets `~2`, `~3`, so that every source is one."""
    taken: set[str] = set()
    named = []
    for record_id in ids:
        plain = source = f"kb:{kind}/{record_id}"
        copy = 1
        while source in taken:
            copy += 1
            source = f"{plain}~{copy}"
        taken.add(source)
        named.append(source)
    return named
