"""Links to files when the server has a key: a browser opens them without it; what else is asked for needs it."""

import re
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from server_stubs import Served, body, chunks, served

from agent.server import links
from agent.server.links import Links

KEY = "a-key-of-sixteen-characters"
AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def server():
    with served(key=KEY) as running:
        yield running


def files_of(server: Served) -> dict[str, str]:
    return server.post(body(), headers=AUTH).json()["choices"][0]["message"]["segmentation"]["files"]


def test_what_a_chat_page_shows_opens_without_the_key(server):
    events = chunks(server.post(body(stream=True), headers=AUTH))
    content = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in events)
    (overlay,) = re.findall(r"!\[overlay\]\((\S+)\)", content)
    shown = httpx.get(overlay)
    assert (shown.status_code, shown.content[:4]) == (200, b"\x89PNG")
    assert KEY not in overlay
    for url in files_of(server).values():
        assert httpx.get(url).status_code == 200
        assert httpx.get(url, headers={"Origin": "https://chat.example"}).status_code == 200


def test_a_link_opens_its_own_file_and_nothing_else(server):
    first, second = files_of(server), files_of(server)
    url = first["result.json"]
    path, query = urlsplit(url).path, urlsplit(url).query
    expires, signature = re.fullmatch(r"expires=(\d+)&signature=([0-9a-f]{64})", query).groups()
    for other in (
        path,
        f"{path}?expires={int(expires) + 9}&signature={signature}",
        f"{path}?expires={expires}&signature={signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        f"{path}?expires={expires}&signature=",
        f"{path}?expires={expires}&signature=%C3%A9",
        f"{path}?expires={expires}",
        f"{path}?expires=9e9&signature={signature}",
        f"{path}?{'a=1&' * 5_000}{query}",
        f"{urlsplit(second['result.json']).path}?{query}",
        f"{path.replace('result.json', 'masks.json')}?{query}",
        f"/v1/models?{query}",
        f"/metrics?{query}",
    ):
        assert server.get(other).status_code == 401, other
    assert httpx.post(url).status_code == 405
    assert server.get(path, headers=AUTH).status_code == 200


def test_a_link_is_good_for_its_time_and_its_server_alone(server, monkeypatch):
    url = files_of(server)["result.json"]
    assert httpx.get(url).status_code == 200
    path, query = urlsplit(url).path, urlsplit(url).query
    assert not Links(3_600).opens(path, query)
    expires = int(re.search(r"expires=(\d+)", query)[1])
    assert expires - links.time() == pytest.approx(3_600, abs=60)
    monkeypatch.setattr(links, "time", lambda: expires - 0.5)
    assert httpx.get(url).status_code == 200
    monkeypatch.setattr(links, "time", lambda: expires + 0.5)
    assert httpx.get(url).status_code == 401


def test_signatures_are_for_files_alone():
    made = Links(60)
    assert made.opens("/v1/files/x/y", made.sign("/v1/files/x/y"))
    assert not made.opens("/metrics", made.sign("/metrics"))


def test_without_a_key_links_carry_nothing():
    with served() as server:
        files = server.post(body()).json()["choices"][0]["message"]["segmentation"]["files"]
        assert not any("?" in url for url in files.values())
