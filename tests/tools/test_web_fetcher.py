"""The fetcher under attack. Each of its guards has a test here that fails without it."""

import asyncio
import gzip
import itertools
import re
import resource
import shutil
import ssl
import subprocess
import time
import zlib

import pytest
from web_stubs import PUBLIC, Names, fetcher_of, hang, moved, reply, serving

from tools.errors import FetchError
from tools.web import Fetcher

HTML = ("text/html",)
SITE = "http://site.example.com"


async def refused(fetcher: Fetcher, url: str = SITE, match: str | None = None, kinds=HTML) -> FetchError:
    with pytest.raises(FetchError, match=match) as caught:
        await fetcher.fetch(url, kinds)
    return caught.value


async def test_a_page_is_fetched_from_the_address_that_was_checked() -> None:
    async with serving({"/a": reply(b"hello", "Text/HTML; charset=UTF-8")}) as site:
        names = Names()
        fetcher, dial = fetcher_of(site, names)
        found = await fetcher.fetch(SITE + "/a?b=c#d", HTML)
    assert (found.url, found.kind, found.charset, found.body) == (SITE + "/a?b=c", "text/html", "utf-8", b"hello")
    assert (names.asked, dial.dialled) == (["site.example.com"], [(PUBLIC, 80)])
    asked = site.asked[0]
    assert (asked.method, asked.path, asked.headers["host"]) == ("GET", "/a?b=c", "site.example.com")
    assert asked.headers["user-agent"].startswith("Segscout/")
    assert set(asked.headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "169.254.169.254", "10.0.0.5", "100.100.100.200", "::1", "fe80::1", "fd00:ec2::254"),
        *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "0.0.0.0", "224.0.0.1"),
    ],
)
async def test_inward_addresses_are_never_dialled_by_name_or_number(address: str) -> None:
    async with serving({"/": reply(b"secret")}) as site:
        literal = f"http://[{address}]/" if ":" in address else f"http://{address}/"
        for url, names in ((SITE, Names(site_example_com=[[address]])), (literal, Names())):
            fetcher, dial = fetcher_of(site, names)
            await refused(fetcher, url, "not on the public internet")
            assert dial.dialled == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "localhost", "127.0.0.1.", "metadata"])
async def test_disguised_hosts_are_not_even_resolved(host: str) -> None:
    fetcher, dial = fetcher_of(None, names := Names())
    await refused(fetcher, f"http://{host}/")
    assert (names.asked, dial.dialled) == ([], [])


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC] * 5 + ["::1"]])
async def test_one_inward_address_among_many_spoils_the_name(answer: list[str]) -> None:
    fetcher, dial = fetcher_of(None, Names(site_example_com=[answer]))
    await refused(fetcher, match="not on the public internet")
    assert dial.dialled == []


async def test_rebinding_changes_nothing_as_a_name_is_resolved_once() -> None:
    async with serving({"/": reply(b"public")}) as site:
        names = Names(site_example_com=[[PUBLIC], ["127.0.0.1"]])
        fetcher, dial = fetcher_of(site, names)
        assert (await fetcher.fetch(SITE, HTML)).body == b"public"
        assert (names.asked, dial.dialled) == (["site.example.com"], [(PUBLIC, 80)])
        await refused(fetcher, match="not on the public internet")
        assert len(dial.dialled) == 1


async def test_a_redirect_to_itself_is_resolved_and_checked_again() -> None:
    async with serving({"/": moved("/b"), "/b": reply(b"secret")}) as site:
        fetcher, dial = fetcher_of(site, Names(site_example_com=[[PUBLIC], ["127.0.0.1"]]))
        await refused(fetcher, match="not on the public internet")
        assert dial.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "to",
    [
        *(
            "http://127.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "//10.0.0.1/",
            "http://127.1/",
        ),
        *("file:///etc/passwd", "gopher://site.example.com/", "http://user@site.example.com/", "http://localhost/"),
        *("http://site.example.com:22/", "http://inward.example.com/", "http://[::ffff:127.0.0.1]/", "http://[::1"),
    ],
)
@pytest.mark.parametrize("status", [301, 307])
async def test_redirects_inwards_are_refused(to: str, status: int) -> None:
    async with serving({"/": moved(to, status)}) as site:
        fetcher, dial = fetcher_of(site, Names(inward_example_com=[["192.168.0.1"]]))
        await refused(fetcher)
        assert len(site.asked) == len(dial.dialled) == 1


async def test_redirects_are_followed_but_not_for_ever_and_carry_no_cookies() -> None:
    last = reply(b"here")
    answers = {
        "/": reply(status=302, Location="/1", Set_Cookie="a=b"),
        "/1": moved("/2", 308),
        "/2": moved("/3"),
        "/3": last,
    }
    async with serving(answers) as site:
        fetcher, _ = fetcher_of(site)
        assert (await fetcher.fetch(SITE, HTML)).url == SITE + "/3"
        assert not any("cookie" in asked.headers for asked in site.asked)
        site.answers["/3"] = moved("/")
        site.asked.clear()
        await refused(fetcher, match="more than 3 redirects")
        assert len(site.asked) == 4


async def test_odd_ports_are_refused_unless_allowed() -> None:
    async with serving({"/": reply(b"x")}) as site:
        await refused(fetcher_of(site)[0], SITE + ":8080", "port 8080")
        fetcher, dial = fetcher_of(site, ports=frozenset({8080}))
        assert (await fetcher.fetch(SITE + ":8080", HTML)).body == b"x"
        assert dial.dialled == [(PUBLIC, 8080)]
        assert site.asked[0].headers["host"] == "site.example.com:8080"


@pytest.mark.parametrize("kind", ["image/svg+xml", "application/json", "", "text/htmlx", "video/mp4"])
async def test_other_types_are_refused_before_the_body(kind: str) -> None:
    async def only_a_head(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"", kind, Content_Length="100"))
        await hang(writer)

    async with serving({"/": only_a_head}) as site:
        await refused(fetcher_of(site)[0], match="sent '")


@pytest.mark.parametrize("status", [204, 206, 300, 304, 401, 404, 429, 500, 503])
async def test_only_a_full_answer_counts(status: int) -> None:
    async with serving({"/": reply(b"" if status in (204, 304) else b"no", status=status)}) as site:
        await refused(fetcher_of(site)[0], match=f"HTTP {status}")


async def test_a_promised_body_that_is_too_large_is_not_awaited() -> None:
    async def promise(writer: asyncio.StreamWriter) -> None:
        writer.write(reply(b"", Content_Length="1001"))
        await hang(writer)

    async with serving({"/": promise}) as site:
        await refused(fetcher_of(site, bytes=1000)[0], match="more than 1000 bytes")


async def endless(writer: asyncio.StreamWriter, part: bytes = b"x" * 65536, **headers: str) -> None:
    head = reply(b"", Transfer_Encoding="chunked", **headers).replace(b"Content-Length: 0\r\n", b"")
    writer.write(head)
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await writer.drain()


async def test_an_endless_body_is_given_up_at_the_limit() -> None:
    async with serving({"/": endless}) as site:
        await refused(fetcher_of(site, bytes=200_000, seconds=20)[0], match="more than 200000 bytes")


async def test_an_endless_body_that_unpacks_to_nothing_is_given_up_too() -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH)
    empty = b"\x00\x00\x00\xff\xff" * 10_000  # stored blocks of no bytes

    async def nothing(writer: asyncio.StreamWriter) -> None:
        head = reply(b"", Transfer_Encoding="chunked", Content_Encoding="gzip").replace(b"Content-Length: 0\r\n", b"")
        writer.write(head + b"%x\r\n%b\r\n" % (len(packed), packed))
        while True:
            writer.write(b"%x\r\n%b\r\n" % (len(empty), empty))
            await writer.drain()

    async with serving({"/": nothing}) as site:
        await refused(fetcher_of(site, bytes=200_000, seconds=20)[0], match="more than 200000 bytes")


async def test_a_bomb_is_noticed_and_not_inflated() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(160)) + packer.flush()
    assert len(bomb) < 1_000_000
    async with serving({"/": reply(bomb, Content_Encoding="gzip")}) as site:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await refused(fetcher_of(site, bytes=1_000_000)[0], match="more than 1000000 bytes")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_packed_bodies_are_unpacked(encoding: str) -> None:
    packed = zlib.compress(b"hello" * 50) if encoding == "deflate" else gzip.compress(b"hello" * 50)
    async with serving(
        {"/": reply(packed, Content_Encoding=encoding), "/cut": reply(packed[:-9], Content_Encoding=encoding)}
    ) as site:
        fetcher, _ = fetcher_of(site, bytes=250)
        assert (await fetcher.fetch(SITE, HTML)).body == b"hello" * 50
        await refused(fetcher, SITE + "/cut", "ends too early")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_encodings_that_were_not_asked_for_are_refused(encoding: str) -> None:
    async with serving({"/": reply(gzip.compress(gzip.compress(b"x")), Content_Encoding=encoding)}) as site:
        await refused(fetcher_of(site)[0], match="encoded as")


async def test_what_is_not_packed_although_it_says_so_is_refused() -> None:
    async with serving({"/": reply(b"plain", Content_Encoding="gzip")}) as site:
        await refused(fetcher_of(site)[0], match="incorrect header")


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"", Content_Length="1000"))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drip_redirects(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.2)
    writer.write(moved("/"))


@pytest.mark.parametrize("answer", [drip, hang, drip_redirects])
async def test_time_is_limited_in_total(answer) -> None:
    async with serving({"/": answer}) as site:
        started = time.perf_counter()
        await refused(fetcher_of(site, seconds=0.5, redirects=100)[0], match=r"longer than 0\.5 s")
        assert time.perf_counter() - started < 8


async def test_a_slow_resolver_counts_too() -> None:
    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(3600)
        return [PUBLIC]

    fetcher, _ = fetcher_of(None, slow, seconds=0.1)
    await refused(fetcher, match=r"longer than 0\.1 s")


@pytest.mark.parametrize(
    "answer",
    [b"", b"garbage", b"HTTP/1.1 200 OK\r\n", reply(b"short", Content_Length="50"), reply(b"x", Bad__Header="\x00")],
)
async def test_broken_answers_are_fetch_errors(answer: bytes) -> None:
    async with serving({"/": answer}) as site:
        await refused(fetcher_of(site)[0])


async def test_endless_headers_are_given_up() -> None:
    async def headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in itertools.count():
            writer.write(b"X-%d: y\r\n" % number * 100)
            await writer.drain()

    async with serving({"/": headers}) as site:
        await refused(fetcher_of(site, seconds=20)[0], match="RemoteProtocolError")


async def test_the_next_address_is_tried_and_an_unknown_name_is_an_error() -> None:
    async with serving({"/": reply(b"x")}) as site:
        fetcher, dial = fetcher_of(site, Names(site_example_com=[["1.1.1.1", "8.8.8.8"]], no_example_com=[[]]))
        dial.dead = {"1.1.1.1"}
        assert (await fetcher.fetch(SITE, HTML)).body == b"x"
        assert dial.dialled == [("1.1.1.1", 80), ("8.8.8.8", 80)]
        dial.dead.add("8.8.8.8")
        await refused(fetcher, match="no answer")
        await refused(fetcher, "http://no.example.com", "has no address")


async def test_the_systems_names_are_guarded_and_proxies_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving({"/": reply(b"secret")}) as site:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, site.url)
        for url in (site.url, f"http://127.0.0.1:{site.port}/", "http://127.0.0.1/"):
            await refused(Fetcher(), url)
        fetcher, dial = fetcher_of(site)
        await fetcher.fetch(SITE, HTML)
        assert (site.asked[0].path, dial.dialled) == ("/", [(PUBLIC, 80)])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "made.pem"
    name = ["-subj", "/CN=site.example.com", "-addext", "subjectAltName=DNS:site.example.com"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, "-keyout", str(key), "-out", str(made), *name]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made, key)
    return server, ssl.create_default_context(cafile=str(made))


async def test_tls_is_verified_against_the_name_although_an_address_is_dialled(certificate) -> None:
    server, trusted = certificate
    named: list[str | None] = []
    server.sni_callback = lambda _, name, __: named.append(name)
    async with serving({"/": reply(b"safe"), "/down": moved("http://site.example.com/")}, ssl=server) as site:
        fetcher, dial = fetcher_of(site, trust=trusted)
        assert (await fetcher.fetch("https://site.example.com/", HTML)).body == b"safe"
        assert (named, dial.dialled) == (["site.example.com"], [(PUBLIC, 443)])
        await refused(fetcher, "https://other.example.com/", "CERTIFICATE_VERIFY_FAILED")
        await refused(fetcher, f"https://{PUBLIC}/", "CERTIFICATE_VERIFY_FAILED")
        await refused(fetcher, "https://site.example.com/down", "away from https")
        await refused(fetcher_of(site)[0], "https://site.example.com/", "CERTIFICATE_VERIFY_FAILED")


async def test_a_cancelled_fetch_leaves_nothing_running() -> None:
    async with serving({"/": drip}) as site:
        fetcher, _ = fetcher_of(site)
        task = asyncio.create_task(fetcher.fetch(SITE, HTML))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_fetches_run_side_by_side() -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(reply(b"x"))

    async with serving({"/": slowly}) as site:
        fetcher, _ = fetcher_of(site)
        started = time.perf_counter()
        found = await asyncio.gather(*(fetcher.fetch(SITE, HTML) for _ in range(30)))
        assert len(found) == 30
        assert time.perf_counter() - started < 8  # one after another: 9


async def test_errors_hold_no_more_than_the_host() -> None:
    error = await refused(fetcher_of(None)[0], "http://127.0.0.1/secret-token?key=hidden")
    assert not re.search("secret|hidden", str(error))
    assert str(error).startswith("fetch: ")
