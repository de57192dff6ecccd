"""Read the JSON that policies really write: fences, single quotes, trailing commas, raw quotes inside strings.

Knows nothing of any dialect. Linear in the length of the text, bounded in depth, and never evaluates anything.
"""

import json
import re

MAX_CHARS = 20_000
"""Longer bodies are refused unread: no action of any dialect is that long."""

_MAX_DEPTH = 16
_SPACE = re.compile(r"[\s,;]*")
_BLANK = re.compile(r"\s*")
_NUMBER = re.compile(r"[-+]?(?:\d{1,17}(?:\.\d{0,17})?|\.\d{1,17})(?:[eE][-+]?\d{1,2})?")
_WORD = re.compile(r"[A-Za-z_]\w{0,63}")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS = {"null": None, "none": None, "true": True, "false": False}
_QUOTES = {'"': '"', "'": "'", "“": "”"}
_BRACKETS = {"[": "]", "(": ")"}


def read_lenient(text: str) -> list[object]:
    """Read every JSON value from the first bracket of `text` on; prose and code fences around them are ignored.

    Strict JSON is tried first, so well-formed bodies keep their exact meaning. Raises ValueError if nothing
    can be read or if `text` is longer than `MAX_CHARS`.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"{len(text)} characters are too many")
    try:
        return [json.loads(text, strict=False)]
    except (ValueError, RecursionError):
        pass
    starts = [start for start in (text.find("{"), text.find("[")) if start >= 0]
    if not starts:
        raise ValueError("no JSON object")
    reader = _Reader(text, min(starts))
    values = [reader.value()]
    while reader.at_bracket():
        try:
            values.append(reader.value())
        except ValueError:
            break
    return values


class _Reader:
    """A recursive-descent reader over one text; every method advances `at` or raises ValueError."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.depth = 0

    def at_bracket(self) -> bool:
        self._skip(_SPACE)
        return self._peek() in ("{", "[")

    def value(self) -> object:
        self._skip(_BLANK)
        char = self._peek()
        if char == "{" or char in _BRACKETS:
            self.depth += 1
            if self.depth > _MAX_DEPTH:
                raise ValueError("nested too deeply")
            value = self._object() if char == "{" else self._list(_BRACKETS[char])
            self.depth -= 1
            return value
        if char in _QUOTES:
            return self._string(_QUOTES[char])
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return float(number.group()) if re.search(r"[.eE]", number.group()) else int(number.group())
        if (word := _WORD.match(self.text, self.at)) and word.group().lower() in _WORDS:
            self.at = word.end()
            return _WORDS[word.group().lower()]
        raise ValueError(f"unexpected {char!r} at character {self.at}" if char else "the text ends too early")

    def _object(self) -> dict[str, object]:
        self.at += 1
        result: dict[str, object] = {}
        while not self._closes("}"):
            key = self._key()
            self._skip(_BLANK)
            if self._peek() not in (":", "="):
                raise ValueError(f"no ':' after {key!r}")
            self.at += 1
            result[key] = self.value()
        return result

    def _list(self, close: str) -> list[object]:
        self.at += 1
        result: list[object] = []
        while not self._closes(close):
            result.append(self.value())
        return result

    def _key(self) -> str:
        char = self._peek()
        if char in _QUOTES:
            return self._string(_QUOTES[char])
        if word := _WORD.match(self.text, self.at):
            self.at = word.end()
            return word.group()
        raise ValueError(f"no key at character {self.at}")

    def _string(self, quote: str) -> str:
        """Read to the quote that a separator follows, so that bare quotes inside the string are kept."""
        start = end = self.at + 1
        while (end := self.text.find(quote, end)) >= 0:
            after = _BLANK.match(self.text, end + 1)
            follower = self.text[after.end() : after.end() + 1] if after else ""
            if follower in ("", ",", "}", "]", ")", ":") and not self._escaped(end):
                self.at = end + 1
                return _ESCAPE.sub(_unescape, self.text[start:end])
            end += 1
        raise ValueError("a string is not closed")

    def _escaped(self, at: int) -> bool:
        first = at
        while self.text[first - 1] == "\\":
            first -= 1
        return (at - first) % 2 == 1

    def _closes(self, close: str) -> bool:
        self._skip(_SPACE)
        if self._peek() == close:
            self.at += 1
            return True
        if self.at >= len(self.text):
            raise ValueError(f"no closing {close!r}")
        return False

    def _skip(self, pattern: re.Pattern[str]) -> None:
        if skipped := pattern.match(self.text, self.at):
            self.at = skipped.end()

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if len(code) == 5:
        char = chr(int(code[1:], 16))
        return "\ufffd" if "\ud800" <= char <= "\udfff" else char
    return _ESCAPES.get(code, code)
