"""Recordings of searches: asked once, replayed exactly and offline, whole or not at all."""

import asyncio
import hashlib
import json
import logging
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from search_replies import SERPER_IMAGES, SERPER_TEXT
from web_stubs import fetcher_of, picture_bytes, reply, reply_json, serving, write_picture

from tools.errors import SearchError
from tools.search import load_search
from tools.search.base import ImageHit, TextHit
from tools.search.cached import CachedSearch
from tools.search.recordings import Key
from tools.search.serper import SerperSearch

TEXTS = [TextHit("Torvik ä", "a red star", "https://a.example/", 0.1 + 0.2), TextHit("", "", "", 0.0)]


class Counting:
    """Finds the same each time, and counts; or fails."""

    name = "counting"

    def __init__(self, picture: Path | None = None, fault: SearchError | None = None) -> None:
        self.picture, self.fault = picture, fault
        self.calls: list[tuple[str, str, int]] = []

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        self.calls.append(("text", query, limit))
        await asyncio.sleep(0.01)
        if self.fault is not None:
            raise self.fault
        return TEXTS[:limit]

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        self.calls.append(("images", query, limit))
        return [ImageHit("Torvik", self.picture, "https://a.example/", 1.0)] if self.picture else []


def cache(inner, folder: Path, **changed) -> CachedSearch:
    return CachedSearch(inner, folder, **({"name": "counting", "version": "1", "options": {"a": "b"}} | changed))


def recordings(folder: Path) -> list[Path]:
    return sorted((folder / "searches").rglob("*.json"))


async def test_what_is_recorded_is_replayed_exactly(tmp_path) -> None:
    inner = Counting(write_picture(tmp_path / "found.PNG"))
    recording, replaying = cache(inner, tmp_path / "cache"), cache(None, tmp_path / "cache")
    texts = await recording.search_text("torvik", 2)
    images = await recording.search_images("torvik", 2)
    assert texts == TEXTS == await recording.search_text("torvik", 2) == await replaying.search_text("torvik", 2)
    assert images == await recording.search_images("torvik", 2) == await replaying.search_images("torvik", 2)
    assert len(inner.calls) == 2
    (tmp_path / "found.PNG").unlink()
    found = (await replaying.search_images("torvik", 2))[0]
    digest = hashlib.sha256(picture_bytes()).hexdigest()
    assert found.path == tmp_path / "cache" / "pictures" / f"{digest}.png"
    assert found.path.read_bytes() == picture_bytes()


async def test_a_folder_of_recordings_can_be_moved(tmp_path) -> None:
    inner = Counting(write_picture(tmp_path / "found.png"))
    await cache(inner, tmp_path / "a").search_images("torvik", 1)
    shutil.move(tmp_path / "a", tmp_path / "b")
    hit = (await cache(None, tmp_path / "b").search_images("torvik", 1))[0]
    assert hit.path.is_relative_to(tmp_path / "b")
    assert str(tmp_path) not in recordings(tmp_path / "b")[0].read_text()


@pytest.mark.parametrize("name", ["picture", "picture.", "picture.p?g", "picture.averylongsuffix", "picture.é"])
async def test_a_picture_of_any_name_is_recorded(name: str, tmp_path) -> None:
    hits = await cache(Counting(write_picture(tmp_path / name)), tmp_path / "cache").search_images("torvik", 1)
    assert await cache(None, tmp_path / "cache").search_images("torvik", 1) == hits
    assert len(hits[0].path.name) == 64


async def test_another_search_is_another_recording(tmp_path) -> None:
    inner = Counting()
    await cache(inner, tmp_path).search_text("torvik", 2)
    await cache(inner, tmp_path).search_text(" torvik\n", 2)  # only the spaces differ
    assert len(inner.calls) == 1
    for other in ({"name": "else"}, {"version": "2"}, {"options": {}}, {"options": {"a": "c"}}):
        await cache(inner, tmp_path, **other).search_text("torvik", 2)
    await cache(inner, tmp_path).search_text("Torvik", 2)
    await cache(inner, tmp_path).search_text("torvik", 1)
    await cache(inner, tmp_path).search_images("torvik", 2)
    assert len(inner.calls) == len(recordings(tmp_path)) == 8


@given(st.text(max_size=30), st.text(max_size=30), st.integers(1, 3), st.integers(1, 3))
def test_keys_are_equal_exactly_if_their_names_are(one: str, two: str, least: int, most: int) -> None:
    first = Key(provider="p", version="1", kind="text", query=one, limit=least, options={"a": two})
    second = Key(provider="p", version="1", kind="text", query=two, limit=most, options={"a": one})
    assert (first == second) == (first.name == second.name)
    assert first.model_copy().name == first.name
    assert len(first.name) == 64


async def test_replay_asks_nobody_and_says_what_is_missing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"/search": reply_json(SERPER_TEXT), "/images": reply_json(SERPER_IMAGES)}) as api:
        web = {"/one.png": reply(picture_bytes(), "image/png")}
        async with serving(web) as site:
            monkeypatch.setitem(SerperSearch.__init__.__kwdefaults__, "url", api.url)
            german = {"country": "de"}
            fetcher, _ = fetcher_of(site)
            live = load_search("serper", tmp_path, key=SecretStr("k"), cache="record", fetcher=fetcher, options=german)
            texts = await live.search_text("torvik", 3)
            images = await live.search_images("torvik", 3)
            asked = len(api.asked), len(site.asked)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was touched"))
    replay = load_search("serper", tmp_path, cache="replay", options=german)
    assert texts == await replay.search_text("torvik", 3)
    assert images == await replay.search_images("torvik", 3)
    assert len(images) == 1
    assert asked == (len(api.asked), len(site.asked))
    with pytest.raises(SearchError, match=r"text search 'other' \(limit 3\) of serper was never recorded"):
        await replay.search_text("other", 3)
    with pytest.raises(SearchError, match="never recorded"):
        await load_search("serper", tmp_path, cache="replay").search_text("torvik", 3)


async def test_a_fault_is_replayed_but_asked_again_when_recording(tmp_path) -> None:
    inner = Counting(fault=SearchError("counting is down.", remedy="Wait."))
    for _ in range(2):
        with pytest.raises(SearchError, match="counting is down"):
            await cache(inner, tmp_path).search_text("torvik", 2)
    with pytest.raises(SearchError) as caught:
        await cache(None, tmp_path).search_text("torvik", 2)
    assert (caught.value.message, caught.value.remedy) == ("counting is down.", "Wait.")
    assert len(inner.calls) == 2
    inner.fault = None
    assert await cache(inner, tmp_path).search_text("torvik", 2) == TEXTS
    assert await cache(None, tmp_path).search_text("torvik", 2) == TEXTS


def garble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def swap(path: Path) -> None:
    told = json.loads(path.read_text())
    told["key"]["query"] = "another"
    path.write_text(json.dumps(told))


def point_elsewhere(path: Path) -> None:
    told = json.loads(path.read_text())
    told["images"][0]["file"] = "../../../etc/passwd"
    path.write_text(json.dumps(told))


def point_at_an_odd_name(path: Path) -> None:
    told = json.loads(path.read_text())
    picture = path.parents[2] / "pictures" / told["images"][0]["file"]
    told["images"][0]["file"] = picture.stem + ".p/../x"
    path.write_text(json.dumps(told))
    (picture.parent / (picture.stem + ".p")).mkdir()
    picture.rename(picture.parent / "x")


def lose_the_picture(path: Path) -> None:
    shutil.rmtree(path.parents[2] / "pictures")


def change_the_picture(path: Path) -> None:
    next((path.parents[2] / "pictures").iterdir()).write_bytes(b"other")


@pytest.mark.parametrize(
    "harm", [garble, swap, point_elsewhere, point_at_an_odd_name, lose_the_picture, change_the_picture]
)
async def test_a_broken_recording_is_named_and_recorded_again(harm, tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    inner = Counting(write_picture(tmp_path / "found.png"))
    folder = tmp_path / "cache"
    hits = await cache(inner, folder).search_images("torvik", 1)
    path = recordings(folder)[0]
    harm(path)
    with pytest.raises(SearchError, match=path.name) as caught:
        await cache(None, folder).search_images("torvik", 1)
    assert str(path) in caught.value.remedy
    with caplog.at_level(logging.WARNING):
        assert await cache(inner, folder).search_images("torvik", 1) == hits
    assert path.name in caplog.text
    assert await cache(None, folder).search_images("torvik", 1) == hits
    assert len(inner.calls) == 2


async def test_many_who_ask_the_same_pay_once(tmp_path) -> None:
    inner = Counting()
    shared = cache(inner, tmp_path)
    found = await asyncio.gather(*(shared.search_text("torvik", 2) for _ in range(50)))
    assert found == [TEXTS] * 50
    assert len(inner.calls) == 1
    await asyncio.gather(*(shared.search_text(f"torvik {number}", 2) for number in range(20)))
    assert len(inner.calls) == 21


async def test_a_full_disk_is_named_and_leaves_nothing_broken(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        with pytest.raises(SearchError, match=r"cannot be recorded.*No space left"):
            await cache(Counting(), tmp_path).search_text("torvik", 2)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert await cache(Counting(), tmp_path).search_text("torvik", 2) == TEXTS


async def test_the_key_is_in_no_recording(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"/search": reply_json(SERPER_TEXT)}) as api:
        monkeypatch.setitem(SerperSearch.__init__.__kwdefaults__, "url", api.url)
        live = load_search("serper", tmp_path, key=SecretStr("KEY-123"), cache="record")
        await live.search_text("torvik", 3)
    assert not any("KEY-123" in path.read_text() for path in recordings(tmp_path))
