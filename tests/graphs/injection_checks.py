"""The planted texts, and what to look for where they were shown: written out anew, apart from the code under test."""

import re
import unicodedata
from pathlib import Path

from evals.injections import read_attacks
from graphs.conversation import Part, Turn

ATTACKS = read_attacks(Path(__file__).parent / "injections.json")
TAGS = (
    *("thinking", "think", "reasoning", "search", "information", "keyframe", "answer", "tool_call", "tool_response"),
    *("image", "img", "video", "bbox", "box", "points", "labels", "s", "user", "system", "assistant"),
    *("start_of_turn", "end_of_turn"),
)
TOKENS = ("<|", "|>", "<\uff5c", "\uff5c>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")


def tags_in(text: str) -> list[str]:
    """What in a text a dialect, a chat template or a tokenizer could take for its own, however it is disguised."""
    seen = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc", "Mn", "Cn", "Co") and c != "\u3164")
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", seen)).lower()
    tags = [tag for tag in TAGS if re.search(rf"<[/]*{tag}\b", plain)]
    return tags + [token for token in TOKENS if token.lower() in plain]


def inside(parts: tuple[Part, ...]) -> str:
    """What stands between the fences of an observation."""
    text = Turn("user", parts).text
    assert text.startswith("<information>")
    assert text.endswith("</information>\n\n")
    return text.removeprefix("<information>").removesuffix("</information>\n\n")
