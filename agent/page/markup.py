"""Foreign text in HTML: always plain text, and a link only to where it says it goes."""

import re
from html import escape

from agent.display import plain

_LINK = re.compile(r"https?://[^\s<>\"'`\\]{3,2000}")


def shown(text: str, limit: int) -> str:
    """Return foreign text on one line, cut to `limit` characters, as HTML that is nothing but text."""
    return escape(plain(text, limit))


def source(address: str) -> str:
    """Return a source as HTML: a link that shows where it leads if it is one of the web, else plain text."""
    if not _LINK.fullmatch(address):
        return f'<span class="source">{shown(address, 200)}</span>'
    told = shown(address, 120)
    return f'<a class="source" href="{escape(address)}" target="_blank" rel="noopener noreferrer nofollow">{told}</a>'
