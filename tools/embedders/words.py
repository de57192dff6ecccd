"""Words as every retriever here sees them: case, accents and width folded, so that `Monáe` finds `monae`.

Knows Unicode; knows no language: no stemming and no stop words, because invented names must survive untouched.
"""

import re
import unicodedata

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Kana, Han and Hangul: scripts whose words are not reliably set apart, so each sign counts as a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
_ACCENTS = re.compile("[\u0300-\u036f]")


def fold(text: str) -> str:
    """Fold case, compatibility forms and Latin, Greek and Cyrillic accents of `text`."""
    if text.isascii():
        return text.lower()
    # Casefolding can bring new marks and decomposing can bring new capitals, hence the order and the second pass.
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return _ACCENTS.sub("", unicodedata.normalize("NFKC", bare).casefold())


def words(text: str) -> list[str]:
    """Split `text` into folded words, in order, with repetitions; an empty list if it holds none."""
    return _WORD.findall(fold(text))
