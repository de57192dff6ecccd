"""Pages of hits are read, and the passage that matters is shown."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from search_replies import SERPER_TEXT
from web_stubs import fetcher_of, reply, reply_json, serving

from tools.errors import SearchError
from tools.search import load_search
from tools.search.reading import passage_about
from tools.search.serper import SerperSearch

TEXT = "The club was founded in 1931.\n\nIts emblem is a red star.\nIt won the Helsa Cup in 2031.\nSee also: cups."


@pytest.mark.parametrize(
    ("query", "length", "passage"),
    [
        ("emblem star", 30, "Its emblem is a red star. It …"),
        ("who won the 2031 Helsa Cup?", 29, "It won the Helsa Cup in 2031…"),
        ("FOUNDED", 25, "The club was founded in …"),
        ("zebra", 20, ""),
        ("", 20, ""),
    ],
)
def test_the_passage_with_most_words_is_shown(query: str, length: int, passage: str) -> None:
    assert passage_about(query, TEXT, length) == passage


@given(st.text(max_size=60), st.text(max_size=300), st.integers(1, 50))
def test_a_passage_is_never_too_long(query: str, text: str, length: int) -> None:
    assert len(passage_about(query, text, length)) <= length


def test_long_pages_are_looked_through_fast() -> None:
    started = time.process_time()
    passage_about("emblem of the torvik rovers", "ab\n" * 7000, 320)
    passage_about("emblem of the torvik rovers", "word " * 4000, 320)
    assert time.process_time() - started < 2


async def test_pages_are_read_recorded_and_replayed(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trafilatura", reason="the extra `search` is not installed")
    page = "<html><body><article><h1>Cup</h1>" + "<p>The Torvik Rovers won the 2031 Helsa Cup in the rain.</p>" * 9
    web = {"/2031": reply(page.encode()), "/Torvik_Rovers": reply(b"gone", status=404)}
    told = SERPER_TEXT | {"answerBox": SERPER_TEXT["answerBox"] | {"link": "http://cup.example.org/2031"}}
    async with serving({"/search": reply_json(told)}) as api, serving(web) as site:
        monkeypatch.setitem(SerperSearch.__init__.__kwdefaults__, "url", api.url)
        options = {"key": SecretStr("k"), "cache": "record", "read_pages": True}
        live = load_search("serper", tmp_path, fetcher=fetcher_of(site)[0], **options)
        hits = await live.search_text("2031 Helsa Cup", 2)
        assert [asked.path for asked in site.asked] == ["/2031"]
    assert "The Torvik Rovers won the 2031 Helsa Cup in the rain." in hits[0].snippet
    assert hits[1].snippet.startswith("Football club.")
    replay = load_search("serper", tmp_path, cache="replay", read_pages=True)
    assert await replay.search_text("2031 Helsa Cup", 2) == hits
    with pytest.raises(SearchError, match="never recorded"):
        await load_search("serper", tmp_path, cache="replay").search_text("2031 Helsa Cup", 2)
