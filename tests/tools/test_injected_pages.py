"""Texts planted in web pages: read, cut to a passage, and shown to a policy without a tag or a role token left."""

import html

import pytest
from graph_stubs import DIALECT
from injection_checks import ATTACKS, inside, tags_in
from web_stubs import fetcher_of, reply, serving

from tools.search.base import TextHit
from tools.search.reading import ReadingSearch
from tools.web.pages import PageReader

pytest.importorskip("trafilatura", reason="the extra `search` is not installed")

SITE = "http://site.example.com"
FACT = "The Torvik Rovers won the 2031 Helsa Cup in front of forty thousand people in the rain."


class OnePage:
    """A search that always names the same page."""

    name = "one page"

    async def search_text(self, query, limit):
        return [TextHit("Helsa Cup", "the snippet", f"{SITE}/", 1.0)]


def as_page(attack: str, kind: str) -> bytes:
    """A page that shows the attack to its readers, after a fact."""
    if kind == "text/plain":
        return f"{FACT} {attack}\n{attack}".encode()
    shown = html.escape(attack)
    paragraphs = "".join(f"<p>{FACT} {shown}</p>" for _ in range(2))
    return f"<html><head><title>{shown}</title></head><body><article>{paragraphs}</article></body></html>".encode()


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
async def test_what_a_page_shows_is_foreign_text(kind):
    raw = 0
    for attack in ATTACKS:
        page = as_page(attack.text * min(attack.times, 50), kind)
        async with serving({"/": reply(page, f"{kind}; charset=utf-8")}) as site:
            reader = PageReader(fetcher_of(site)[0])
            (hit,) = await ReadingSearch(OnePage(), reader).search_text("winner of the 2031 Helsa Cup", 1)
            reader.close()
        assert hit.snippet.startswith("The Torvik Rovers"), attack.name
        raw += bool(tags_in(hit.snippet))
        assert tags_in(inside(DIALECT.text_results([hit]))) == [], attack.name
    assert raw > 20  # as read, before it is shown, the tags are there
