"""Media by URL: followed by what the server was given for it, and by nothing else."""

import pytest
from server_stubs import Served, body, data_uri, image, png, served, user

from agent.server.web_media import WebMedia, web_media
from tools.errors import FetchError
from tools.media import Limits
from tools.web.fetcher import Fetched, Fetcher

URL = "https://pictures.example.org/red.png"


class Web(Fetcher):
    """A web that holds one picture."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def fetch(self, url, kinds):
        self.asked.append(url)
        assert {"image/png", "video/mp4"} <= set(kinds)
        assert "image/svg+xml" not in kinds
        if url != URL:
            raise FetchError("pictures.example.org answered HTTP 404.", remedy="Choose another source.")
        return Fetched(url, "image/png", "", png())


def ask(server: Served, *urls: str, **fields: object):
    return server.post(body(user("the red square", *(image(url) for url in urls)), **fields))


def test_a_url_is_followed():
    web = Web()
    with served(fetcher=WebMedia(web)) as server:
        reply = ask(server, URL)
        assert reply.json()["choices"][0]["message"]["segmentation"]["ending"] == "found"
        missing = ask(server, f"{URL}x", stream=True)
        assert (missing.status_code, missing.json()["error"]["code"]) == (400, "fetch")
        assert "HTTP 404" in missing.json()["error"]["message"]
    assert web.asked == [URL, f"{URL}x"]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/x", "http://[::1]/x", "http://169.254.169.254/x", "http://2130706433/"]
)
def test_the_real_fetcher_reaches_nothing_inwards(url):
    with served(fetcher=web_media(Limits())) as server:
        reply = ask(server, url)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "fetch")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "media-0", "ftp://example.org/x", "gopher://x"])
def test_other_addresses_never_get_to_the_fetcher(url):
    web = Web()
    with served(fetcher=WebMedia(web)) as server:
        assert ask(server, url).json()["error"]["code"] == "url_refused"
    assert web.asked == []


def test_all_that_a_message_shows_is_limited_together_before_more_is_fetched():
    web = Web()
    limits = Limits(max_bytes=len(png()) * 2)
    with served(fetcher=WebMedia(web), media=limits) as server:
        reply = ask(server, data_uri(png(), "image/png"), *[URL] * 5)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "media")
    assert len(web.asked) == 2
