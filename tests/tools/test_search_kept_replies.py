"""A search that was answered, and cut short while its pictures were fetched, is not paid for again."""

import asyncio

import pytest
from pydantic import SecretStr
from search_replies import SERPER_IMAGES, TAVILY_IMAGES
from web_stubs import fetcher_of, hang, picture_bytes, reply, reply_json, serving

from tools.errors import SearchError
from tools.search.cached import CachedSearch
from tools.search.serper import SerperSearch
from tools.search.tavily import TavilySearch
from tools.web.pictures import PictureFetcher

PROVIDERS = {"serper": (SerperSearch, "/images", SERPER_IMAGES), "tavily": (TavilySearch, "/search", TAVILY_IMAGES)}


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_search_cut_short_after_its_reply_is_not_paid_again(name, tmp_path):
    make, path, answer = PROVIDERS[name]
    pictures = {"/one.png": hang, "/two.png": hang, "/three.png": hang}
    async with serving({path: reply_json(answer), **pictures}) as site:

        def search() -> CachedSearch:
            fetcher, _ = fetcher_of(site)
            inner = make(SecretStr("KEY-123"), PictureFetcher(fetcher, tmp_path / "pictures"), url=site.url)
            return CachedSearch(inner, tmp_path / "kept", name=name, version="1", options={})

        running = asyncio.create_task(search().search_images("torvik", 1))
        while not any(asked.path.endswith(".png") for asked in site.asked):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait((running,))
        site.answers["/one.png"] = reply(picture_bytes(), "image/png")
        site.answers |= {"/two.png": reply(picture_bytes(seed=2), "image/png"), "/three.png": reply(b"", status=404)}
        (hit,) = await search().search_images("torvik", 1)
        paid = [asked for asked in site.asked if asked.path == path]
    assert hit.path.read_bytes() == picture_bytes()
    assert len(paid) == 1
    assert not list((tmp_path / "kept" / "replies").iterdir())  # the recording is there, so the reply is not needed


async def test_a_reply_that_cannot_be_read_is_not_kept(tmp_path):
    async with serving({"/search": [reply(b"<html>"), reply_json({"searchParameters": {}, "organic": []})]}) as site:
        fetcher, _ = fetcher_of(site)
        inner = SerperSearch(SecretStr("KEY-123"), PictureFetcher(fetcher, tmp_path / "pictures"), url=site.url)
        search = CachedSearch(inner, tmp_path / "kept", name="serper", version="1", options={})
        with pytest.raises(SearchError, match="unreadable"):
            await search.search_text("torvik", 2)
        assert await search.search_text("torvik", 2) == []
