"""URLs before anything is resolved: hosts in disguise, odd ports, other schemes."""

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.errors import FetchError
from tools.web.urls import as_link, check_url

PORTS = {80, 443}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://example.com", "example.com"),
        ("HTTPS://EXAMPLE.com:443/a?b=c", "example.com"),
        ("http://a.b-c.example.co/x#fragment", "a.b-c.example.co"),
        ("http://bücher.example/ä", "xn--bcher-kva.example"),
        ("http://93.184.216.34/", "93.184.216.34"),
        ("http://[2606:4700::1]/", "2606:4700::1"),
        ("http://under_score.example.com/", "under_score.example.com"),
    ],
)
def test_plain_urls_pass_without_their_fragment(url: str, host: str) -> None:
    checked = check_url(url, PORTS)
    assert checked.raw_host.decode() == host
    assert not checked.fragment


@pytest.mark.parametrize(
    "url",
    [
        *(
            "file:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com/",
            "data:text/html,x",
            "javascript:alert(1)",
        ),
        *("//example.com/", "example.com", "", "http:", "http://", "http:///x", "unix:/run/x", "ws://example.com"),
        *("http://2130706433/", "http://127.1/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/"),
        *("http://017700000001/", "http://1.2.3.0x7f/", "http://127.0.0.1./", "http://１２７.０.０.１/"),
        *("http://localhost/", "http://intranet/", "http://example.com./", "http://.example.com/", "http://a..b.com/"),
        *("http://ex%61mple.com/", "http://example.com%2f.evil.com/", "http://exa mple.com/", "http://-a.com/"),
        *("http://[fe80::1%eth0]/", "http://[fe80::1%25eth0]/", "http://[::1", "http://[v1.x]/", "http://example.1/"),
        *("http://user@example.com/", "http://user:word@example.com/", "http://:word@example.com/"),
        *("http://good.com\\@evil.com/", "http://good.com@evil.com/", "http://good.com\\.evil.com/"),
        *("http://example.com:22/", "http://example.com:0/", "http://example.com:8080/", "http://example.com:65616/"),
        *("http://example.com:80:80/", "http://exam\nple.com/", "http://example.com/\r\nHost: x", "http://\x00.com"),
        *("http://" + "a." * 130 + "com/", "http://" + "a" * 64 + ".com/", "http://" + "a" * 70_000 + ".com"),
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(FetchError):
        check_url(url, PORTS)


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://a.com/", "http://x@", "http://[::"]))
def test_any_text_is_a_checked_url_or_a_fetch_error(text: str, start: str) -> None:
    try:
        checked = check_url(start + text, PORTS)
    except FetchError:
        return
    assert checked.scheme in ("http", "https")
    assert checked.raw_host
    assert not checked.userinfo
    assert check_url(str(checked), PORTS) == checked == httpx.URL(str(checked))


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (" https://a.example/b c ", "https://a.example/b%20c"),
        ("http://localhost:3000/x", "http://localhost:3000/x"),
        *(
            (bad, "")
            for bad in (
                "javascript:alert(1)",
                "javascript://a.example/%0aalert(1)",
                "ftp://a.example/",
                "/x",
                "",
                "http://",
                "http://a.b/" + "x" * 2000,
            )
        ),
    ],
)
def test_only_web_links_are_shown(url: str, link: str) -> None:
    assert as_link(url) == link
