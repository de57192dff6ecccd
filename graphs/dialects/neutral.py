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
_TAG = re.compile(rf"[<\uff1c](?=[\s/]{{0,9}}+(?:(?:{_NAMES})\b|[|\uff5c]))", re.IGNORECASE)
_TURN_END = re.compile(r"(?<=[|\uff5c])(\s{0,8}+)[>\uff1e]")
_BRACKETED = re.compile(
    r"\[(?=[\s/]{0,9}+(?:INST|IMG|SYSTEM_PROMPT|TOOL_RESULTS|AVAILABLE_TOOLS)\b)|<(?=</?SYS>>)", re.I
)
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_KEEP = frozenset("\n\t")


def neutralise(text: str) -> str:
    """Return `text` without invisible characters, and with every protocol, role or image token defused.

    The angle bracket of such a token becomes an angle quotation mark; ordinary text, also `a < b` and `<b>`, is
    unchanged. Linear in the length of the text, and neutralising twice changes nothing more.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(c for c in text if c in _KEEP or unicodedata.category(c) not in _INVISIBLE)
    text = _TAG.sub(_LEFT, text)
    text = _TURN_END.sub(rf"\1{_RIGHT}", text)
    return _BRACKETED.sub(_LEFT, text)


def defuse_special(text: str) -> str:
    """Defuse only special tokens of the `<|name|>` kind, in text that must otherwise stay exactly as it is."""
    return text.replace("<|", f"{_LEFT}|")


def one_line(text: str) -> str:
    """Neutralise `text` and fold all its whitespace, so that it cannot start a line of its own."""
    return " ".join(neutralise(" ".join(text.split())).split())
