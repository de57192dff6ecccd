"""Tavily, Serper and DuckDuckGo, asked on the loopback: what they find, how they fail, and what they never do."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import search_replies as shapes
from pydantic import SecretStr
from web_stubs import Dial, Site, fetcher_of, hang, picture_bytes, reply, reply_json, serving

from tools.errors import InputError, SearchError
from tools.search.base import SearchProvider
from tools.search.duckduckgo import DuckDuckGoSearch
from tools.search.replies import PassingSearchError
from tools.search.retrying import RetryingSearch
from tools.search.serper import SerperSearch
from tools.search.tavily import TavilySearch
from tools.web.pictures import PictureFetcher

KEY = SecretStr("KEY-123")
NAMES = ["serper", "tavily", "duckduckgo"]
PATHS = {"serper": "/search", "tavily": "/search", "duckduckgo": "/html/"}
TEXTS = {
    "serper": reply_json(shapes.SERPER_TEXT),
    "tavily": reply_json(shapes.TAVILY_TEXT),
    "duckduckgo": reply(shapes.DUCKDUCKGO_TEXT.encode()),
}
IMAGES = {
    "serper": {"/images": reply_json(shapes.SERPER_IMAGES)},
    "tavily": {"/search": reply_json(shapes.TAVILY_IMAGES)},
    "duckduckgo": {"/": reply(shapes.DUCKDUCKGO_TOKEN.encode()), "/i.js": reply_json(shapes.DUCKDUCKGO_IMAGES)},
}
WEB = {
    "/one.png": reply(picture_bytes(seed=1), "image/png"),
    "/two.png": reply(picture_bytes(seed=2), "image/png"),
    "/three.png": reply(picture_bytes(seed=3), "image/png"),
    "/drawing.svg": reply(b"<svg/>", "image/svg+xml"),
}


@dataclass
class Stage:
    provider: SearchProvider
    api: Site
    web: Site
    dial: Dial


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sets up a provider whose API and whose whole web are on the loopback."""

    @asynccontextmanager
    async def set_up(name: str, answers: dict, seconds: float = 5.0):
        async with serving(answers) as api, serving(WEB) as web:
            fetcher, dial = fetcher_of(web)
            pictures = PictureFetcher(fetcher, tmp_path / "pictures")
            if name == "serper":
                provider = SerperSearch(KEY, pictures, url=api.url, seconds=seconds)
            elif name == "tavily":
                pytest.importorskip("tavily", reason="the extra `search` is not installed")
                provider = TavilySearch(KEY, pictures, url=api.url, seconds=seconds)
            else:
                client = pytest.importorskip("ddgs.http_client", reason="the extra `search` is not installed")
                sent = client.HttpClient.request

                def request(self, method: str, url: str, **options: object):
                    assert urlsplit(url).hostname in ("html.duckduckgo.com", "duckduckgo.com")
                    assert urlsplit(url).scheme == "https"
                    return sent(self, method, api.url + (urlsplit(url).path or "/"), **options)

                monkeypatch.setattr(client.HttpClient, "request", request)
                provider = DuckDuckGoSearch(pictures, seconds=seconds)
            yield Stage(provider, api, web, dial)

    return set_up


async def test_serper_finds_texts(stage) -> None:
    async with stage("serper", {"/search": TEXTS["serper"]}) as on:
        hits = await on.provider.search_text("  who won\nthe cup? ", 3)
        assert [(hit.title, hit.source) for hit in hits] == [
            ("Helsa Cup 2031", "https://cup.example.org/2031"),
            ("Torvik Rovers", "https://wiki.example.org/Torvik_Rovers"),
            ("Torvik Rovers 2 - Wiki", "https://wiki.example.org/a%20b"),
        ]
        assert hits[0].snippet == "Torvik Rovers"
        assert hits[1].snippet == "Football club. The Torvik Rovers are a club. Emblem: red star. Founded: 1931"
        assert len(hits[2].snippet) == 320
        assert [hit.score for hit in hits] == [1, 1 / 2, 1 / 3]
        assert len(await on.provider.search_text("x", 9)) == 4  # those without a link are left out
    asked = on.api.asked[0]
    assert (asked.method, asked.headers["x-api-key"]) == ("POST", "KEY-123")
    assert json.loads(asked.body) == {"q": "who won the cup?", "num": 10, "gl": "us", "hl": "en"}


async def test_tavily_finds_texts(stage) -> None:
    async with stage("tavily", {"/search": TEXTS["tavily"]}) as on:
        first, second = await on.provider.search_text("who won\nthe cup?", 2)
    assert (first.title, first.source) == ("Torvik Rovers", "https://wiki.example.org/Torvik_Rovers")
    assert (first.snippet, first.score) == ("The emblem is a red star. Founded 1931.", 0.90849644)
    assert second.score == 0.5
    asked = on.api.asked[0]
    assert (asked.method, asked.headers["authorization"]) == ("POST", "Bearer KEY-123")
    assert json.loads(asked.body) == {"query": "who won the cup?", "search_depth": "basic", "max_results": 2}


async def test_duckduckgo_finds_texts(stage) -> None:
    async with stage("duckduckgo", {"/html/": TEXTS["duckduckgo"]}) as on:
        hits = await on.provider.search_text("who won\nthe cup?", 5)
    assert [(hit.title, hit.snippet, hit.source) for hit in hits] == [
        ("Torvik & co", "The emblem is a red star.", "https://wiki.example.org/Torvik"),
        ("B", "b", "https://b.example.org/x?y=1&z"),
    ]
    assert parse_qs(on.api.asked[0].body.decode())["q"] == ["who won the cup?"]


@pytest.mark.parametrize("name", NAMES)
async def test_images_are_local_files_and_what_cannot_be_fetched_is_left_out(stage, name: str, tmp_path) -> None:
    async with stage(name, IMAGES[name]) as on:
        hits = await on.provider.search_images("torvik", 3)
        assert [hit.name for hit in hits] == ["One", "Two", "Three"]
        assert [hit.path.read_bytes() for hit in hits] == [picture_bytes(seed=seed) for seed in (1, 2, 3)]
        assert all(hit.path.parent == tmp_path / "pictures" for hit in hits)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        if name != "tavily":  # which does not say where a picture was
            assert hits[1].source == "https://www.example.org/page6"
        assert [hit.name for hit in await on.provider.search_images("torvik", 1)] == ["One"]
    assert {address for address, _ in on.dial.dialled} == {"93.184.216.34"}
    assert sorted({asked.path for asked in on.web.asked}) == ["/drawing.svg", "/one.png", "/three.png", "/two.png"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "query", ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "http://evil.com/x.png"]
)
async def test_a_url_in_a_query_is_only_ever_a_query(stage, name: str, query: str) -> None:
    async with stage(name, {PATHS[name]: TEXTS[name]} | IMAGES[name]) as on:
        await on.provider.search_text(query, 2)
        await on.provider.search_images(query, 1)
        known = {"/search", "/images", "/html/", "/", "/i.js"}
        assert {urlsplit(asked.path).path for asked in on.api.asked} <= known
        assert {asked.headers["host"] for asked in on.web.asked} == {"images.example.com"}
        assert {asked.path for asked in on.web.asked} <= set(WEB)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("serper", reply_json(shapes.SERPER_EMPTY)),
        ("serper", reply_json({"searchParameters": {"q": "qqq"}})),
        ("tavily", reply_json(shapes.TAVILY_EMPTY)),
        ("duckduckgo", reply(shapes.DUCKDUCKGO_EMPTY.encode())),
    ],
)
async def test_nothing_found_is_an_empty_list(stage, name: str, answer: bytes) -> None:
    async with stage(name, {PATHS[name]: answer}) as on:
        assert await on.provider.search_text("qqq", 3) == []


@pytest.mark.parametrize("name", NAMES)
async def test_asked_too_often_then_answered(stage, name: str) -> None:
    refusal = reply_json({"message": "slow down"}, 429, Retry_After="0")
    async with stage(name, {PATHS[name]: [refusal, refusal, TEXTS[name]]}) as on:
        with pytest.raises(PassingSearchError):
            await on.provider.search_text("torvik", 2)
        assert len(await RetryingSearch(on.provider, pause=0.01).search_text("torvik", 2)) == 2
    assert len(on.api.asked) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_failing_provider_is_asked_again_and_then_named(stage, name: str, status: int) -> None:
    async with stage(name, {PATHS[name]: reply(b"<html>oops</html>", status=status)}) as on:
        with pytest.raises(SearchError, match=name):
            await RetryingSearch(on.provider, retries=2, pause=0.01).search_text("torvik", 2)
    assert len(on.api.asked) == 3


@pytest.mark.parametrize("name", ["serper", "tavily"])
async def test_retry_after_is_passed_on(stage, name: str) -> None:
    async with stage(name, {PATHS[name]: reply_json({}, 429, Retry_After="7")}) as on:
        with pytest.raises(PassingSearchError, match="too often") as caught:
            await on.provider.search_text("torvik", 2)
    assert caught.value.wait == 7


@pytest.mark.parametrize("name", NAMES)
async def test_a_hanging_provider_is_given_up(stage, name: str) -> None:
    async with stage(name, {PATHS[name]: hang}, seconds=1) as on:
        with pytest.raises(PassingSearchError):
            await asyncio.wait_for(on.provider.search_text("torvik", 2), timeout=10)


@pytest.mark.parametrize("name", ["serper", "tavily"])
async def test_a_reply_that_drips_in_for_ever_is_given_up_too(stage, name: str) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"", "application/json", Content_Length="10000"))
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with stage(name, {PATHS[name]: drip}, seconds=0.5) as on:
        with pytest.raises(PassingSearchError, match=r"no answer in 0\.5 s"):
            await asyncio.wait_for(on.provider.search_text("torvik", 2), timeout=10)


@pytest.mark.parametrize("name", NAMES)
async def test_a_provider_that_is_down_is_a_passing_fault(stage, name: str) -> None:
    async with stage(name, {}) as on:
        on.api.answers[PATHS[name]] = b""
        with pytest.raises(PassingSearchError):
            await on.provider.search_text("torvik", 2)


@pytest.mark.parametrize("name", ["serper", "tavily"])
@pytest.mark.parametrize(
    "answer",
    [
        reply(b"<html><body>Please sign in</body></html>"),
        reply_json({}),
        reply_json({"status": "ok"}),
        reply_json([]),
        reply_json("text"),
        reply_json({"organic": 5, "results": 5, "searchParameters": {}}),
        reply_json({"organic": [7], "results": [7], "searchParameters": {}}),
        reply(b"{", "application/json"),
        reply(b"", "application/json"),
        reply(b"\xff\xfe\x00", "application/json"),
    ],
)
async def test_garbage_is_named_as_such_and_not_retried(stage, name: str, answer: bytes) -> None:
    async with stage(name, {PATHS[name]: answer}) as on:
        with pytest.raises(SearchError, match=name) as caught:
            await RetryingSearch(on.provider, pause=0.01).search_text("torvik", 2)
    assert not isinstance(caught.value, PassingSearchError)
    assert len(on.api.asked) == 1


@pytest.mark.parametrize(
    "answers", [{"/": reply(b"no token")}, {"/": reply(shapes.DUCKDUCKGO_TOKEN.encode()), "/i.js": reply(b"<html>")}]
)
async def test_garbage_from_duckduckgos_images_is_an_error(stage, answers: dict) -> None:
    async with stage("duckduckgo", answers) as on:
        with pytest.raises(SearchError, match="duckduckgo"):
            await on.provider.search_images("torvik", 2)


async def test_garbage_from_serpers_images_is_no_empty_result(stage) -> None:
    async with stage("serper", {"/images": reply_json({"status": "ok"})}) as on:
        with pytest.raises(SearchError, match="unreadable"):
            await on.provider.search_images("torvik", 2)


@pytest.mark.parametrize("name", ["serper", "tavily"])
async def test_the_key_is_never_told_or_logged(stage, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(name, {PATHS[name]: [shapes.WRONG_KEY[name], shapes.NO_CREDITS[name], TEXTS[name]]}) as on:
        with pytest.raises(SearchError, match=f"refused the key.*SEGSCOUT_{name.upper()}_KEY") as wrong:
            await RetryingSearch(on.provider).search_text("torvik", 2)
        with pytest.raises(SearchError, match=r"(credits|usage limit).*account"):
            await on.provider.search_text("torvik", 2)
        await on.provider.search_text("torvik", 2)
        told = [str(wrong.value), repr(wrong.value), repr(vars(on.provider)), caplog.text]
    assert caplog.records
    assert not any("KEY-123" in one for one in told)
    assert "[the key]" in str(wrong.value)


async def test_an_unknown_engine_is_refused_and_not_replaced(tmp_path) -> None:
    pytest.importorskip("ddgs", reason="the extra `search` is not installed")
    pictures = PictureFetcher(fetcher_of(None)[0], tmp_path)
    for engine in ("no-such", "auto", "wikipedia"):
        with pytest.raises(InputError, match="duckduckgo"):
            DuckDuckGoSearch(pictures, engine=engine)
