"""Pages as text."""

import gzip
import time

import pytest
from web_stubs import fetcher_of, reply, serving

from tools.errors import FetchError, InputError
from tools.web.extras import load_extra
from tools.web.pages import PageReader

pytest.importorskip("trafilatura", reason="the extra `search` is not installed")

SITE = "http://site.example.com"
PARAGRAPH = "<p>The Torvik Rovers won the 2031 Helsa Cup in front of forty thousand people in the rain.</p>"
PAGE = f"""<!doctype html><html><head><title>Torvik Rovers</title><script>alert("script")</script>
<style>p {{ color: red }}</style></head><body><nav><a href="/">Home</a> <a href="/shop">Shop</a></nav>
<article><h1>Torvik Rovers</h1>{PARAGRAPH * 3}<!-- a comment --></article><footer>Imprint</footer></body></html>"""


async def read(answer: bytes, **options):
    async with serving({"/": answer}) as site:
        reader = PageReader(fetcher_of(site)[0], **options)
        try:
            return await reader.read(SITE + "/")
        finally:
            reader.close()


async def test_a_page_is_read_without_menus_and_scripts() -> None:
    page = await read(reply(PAGE.encode()))
    assert (page.url, page.title) == (SITE + "/", "Torvik Rovers")
    assert page.text.count("2031 Helsa Cup") >= 1
    for noise in ("script", "color", "Shop", "comment", "<p>"):
        assert noise not in page.text


async def test_plain_text_is_taken_as_it_is_and_cut() -> None:
    page = await read(reply("Torvik ä\n".encode() * 100, "text/plain"), characters=20)
    assert (page.title, page.text) == ("", "Torvik ä\nTorvik ä\nTo")
    assert len((await read(reply(PAGE.encode()), characters=30)).text) == 30


@pytest.mark.parametrize(
    ("kind", "charset", "meta"),
    [
        ("text/html; charset=iso-8859-1", "latin-1", ""),
        ("text/html", "shift_jis", '<meta charset="Shift_JIS">'),
        ("text/html; charset=unheard-of", "utf-8", ""),
        ("text/html; charset=zlib", "utf-8", ""),
        ("text/html; charset=punycode", "utf-8", ""),
        ("text/html", "utf-8", ""),
    ],
)
async def test_charsets(kind: str, charset: str, meta: str) -> None:
    told = "é" if charset != "shift_jis" else "東京"
    source = PAGE.replace("Torvik", f"T{told}rvik").replace("<head>", "<head>" + meta).encode(charset)
    assert f"T{told}rvik Rovers won" in (await read(reply(source, kind))).text


@pytest.mark.parametrize(
    "answer",
    [
        reply(b""),
        reply(b"<html></html>"),
        reply(b"\xff\xfe\x00" * 50),
        reply(b"{}" * 9),
        reply(b"", "text/plain"),
        reply(gzip.compress(PAGE.encode())),  # packed once more than the headers say
        reply(b"<div>" * 100_000),
        reply(b"x", "application/pdf"),
        reply(b"x", status=404),
    ],
)
async def test_pages_without_text_are_fetch_errors(answer: bytes) -> None:
    with pytest.raises(FetchError):
        await read(answer)


async def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trafilatura.bare_extraction", lambda *_, **__: time.sleep(0.5))
    with pytest.raises(FetchError, match=r"not read within 0\.1 s"):
        await read(reply(PAGE.encode()), seconds=0.1)


def test_a_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match=r"reading needs no_such_library.*\.\[search\]"):
        load_extra("no_such_library.part", "reading")
