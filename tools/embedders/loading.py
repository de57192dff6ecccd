"""Embedders by name."""

from collections.abc import Callable
from functools import lru_cache

from tools.embedders.base import Embedder
from tools.embedders.hashing import HashingEmbedder
from tools.errors import InputError


def load_embedder(name: str) -> Embedder:
    """Load `hashing`, `minilm` or `e5`; `minilm:WHERE` and `e5:WHERE` take a local folder or a hub id.

    Weights are loaded once per process. Raises InputError for an unknown name, EmbedderError for missing weights.
    """
    kind, _, where = name.partition(":")
    makers: dict[str, Callable[[str | None], Embedder]] = {"hashing": _hashing, "minilm": _minilm, "e5": _e5}
    if kind not in makers or (kind == "hashing" and where):
        raise InputError(
            f"there is no embedder {name!r}.", remedy="Choose hashing, minilm, e5, minilm:FOLDER or e5:FOLDER."
        )
    return _load(makers[kind], where or None)


@lru_cache(maxsize=4)
def _load(make: Callable[[str | None], Embedder], where: str | None) -> Embedder:
    return make(where)


def _hashing(_: str | None) -> Embedder:
    return HashingEmbedder()


# Imported late: torch and transformers take seconds, which the embedder without weights must not cost.
def _minilm(where: str | None) -> Embedder:
    from tools.embedders.minilm import load_minilm

    return load_minilm(where)


def _e5(where: str | None) -> Embedder:
    from tools.embedders.e5 import load_e5

    return load_e5(where)
