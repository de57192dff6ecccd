"""Foreign text in Markdown: it can show no picture, link nowhere unseen, and hold no markup of its own.

Chat clients load a picture as soon as its Markdown arrives, so a retrieved text that brings one could tell strangers
what is being read.
"""

import re

from agent.display import plain

_SPECIAL = re.compile(r"[\\`\[\]<]")
_LINK = re.compile(r"https?://[^\s<>\\`\"']{3,2000}")


def quoted(text: str, limit: int) -> str:
    """Return foreign text on one line, cut to `limit` characters, with what Markdown would obey escaped."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", plain(text, limit))


def source_link(source: str) -> str:
    """Return a source as a link that shows its whole address, or as plain text if it is none of the web."""
    return f"<{source}>" if _LINK.fullmatch(source) else f"({quoted(source, 200)})"
