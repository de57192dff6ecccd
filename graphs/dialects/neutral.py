"""Make foreign text harmless: no protocol, role or image token survives in what others wrote.

The real guard is structural (only turns that the policy sampled are ever parsed); this one keeps retrieved text
from looking like the protocol to the policy and to the tokenizers behind chat endpoints.
"""

import re
import unicodedata

_NAMES = (
    "thinking|think|reasoning|search|information|keyframe|answer|image|img|video|tool_call|tool_response|tools?"
    "|function|system|user|assistant|human|start_of_turn|end_of_turn|bos|eos|pad|unk|s|points?|labels?|bbox|box|ref"
    "|vision_start|vision_end|image_pad|video_pad|image_soft_token"
)
_LEFT, _RIGHT = "\u2039", "\u203a"  # single angle quotation marks: read like brackets, are none
_LESS = re.compile(r"[<\uff1c\ufe64]")
_TAG = re.compile(rf"[\s/]{{0,9}}+(?:(?:{_NAMES})\b|[|\uff5c])", re.IGNORECASE)
_TAG_CHARS = 40
_TURN_END = re.compile(r"(?<=[|\uff5c])(\s{0,8}+)[>\uff1e\ufe65]")
_BRACKETED = re.compile(
    r"\[(?=[\s/]{0,9}+(?:INST|IMG|SYSTEM_PROMPT|TOOL_RESULTS|TOOL_CALLS|AVAILABLE_TOOLS)\b)|<(?=</?SYS>>)", re.I
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Fillers and variation selectors: nothing is seen of them either, though Unicode counts them as letters and marks."""
_KEEP = frozenset("\n\t")


def neutralise(text: str) -> str:
    """Return `text` without invisible characters, and with every protocol, role or image token defused.

    The angle bracket of such a token becomes an angle quotation mark; ordinary text, also `a < b` and `<b>`, is
    unchanged. Linear in the length of the text, and neutralising twice changes nothing more.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(c for c in text if c in _KEEP or unicodedata.category(c) not in _INVISIBLE)
        text = _UNSEEN.sub("", text)
    text = _LESS.sub(lambda found: _LEFT if _opens_tag(found.string, found.end()) else found[0], text)
    text = _TURN_END.sub(rf"\1{_RIGHT}", text)
    return _BRACKETED.sub(_LEFT, text)


def _opens_tag(text: str, at: int) -> bool:
    """Return whether a name of ours stands at `at`, as it is or in letters that some tokenizers take for plain ones."""
    ahead = text[at : at + _TAG_CHARS]
    return bool(_TAG.match(ahead) or (not ahead.isascii() and _TAG.match(unicodedata.normalize("NFKC", ahead))))


def defuse_special(text: str) -> str:
    """Defuse only special tokens of the `<|name|>` kind, in text that must otherwise stay exactly as it is."""
    return text.replace("<|", f"{_LEFT}|")


def one_line(text: str) -> str:
    """Neutralise `text` and fold all its whitespace, so that it cannot start a line of its own."""
    return " ".join(neutralise(" ".join(text.split())).split())
