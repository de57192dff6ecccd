"""The page as programs meet it: who gets in, what may be dropped, which doors are shut, what a run shows."""

import asyncio
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import httpx2 as httpx
import numpy as np
import pytest
from agent_stubs import agent, write_clip
from clarify_stubs import TIED, torn
from page_stubs import page_served
from server_stubs import IMAGE_SCRIPT, HeldPolicy, Served, png, served
from starlette.datastructures import Headers

from agent import SegmentationAgent
from agent.page import installed
from agent.page.asking import Pending, Shown, ask
from agent.page.follow import Stop
from agent.page.steps import show_steps
from agent.page.uploads import Upload, Uploads
from agent.page.verdict import show_verdict
from agent.result import Step
from agent.server import session
from agent.server.app import make_app
from agent.server.errors import RequestError
from agent.server.metrics import Metrics
from agent.server.runs import Finished, Runs
from agent.server.settings import ServerSettings
from graphs.actions import Malformed
from graphs.episode import Evidence
from graphs.events import FoundHit, Repaired, SearchFinished, TurnSampled
from tools.errors import InputError, MediaError, PolicyError
from tools.media import Limits

KEY = "a-key-of-sixteen-characters"
HTML = {"Accept": "text/html"}


def login(server: Served, key: str = KEY, **headers: str) -> httpx.Response:
    return httpx.post(f"{server.url}/ui/login", data={"key": key}, headers=headers)


def test_without_the_extra_the_place_of_the_page_names_it():
    with served() as server:
        for path in ("/ui", "/ui/"):
            reply = server.get(path)
            assert reply.status_code == 404
            assert ".[ui]" in reply.json()["error"]["message"]


def test_a_page_that_cannot_be_had_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(installed, "find_spec", lambda module: None)
    with pytest.raises(InputError, match=r"\.\[ui\]"):
        make_app(agent(IMAGE_SCRIPT), ServerSettings(page=True))


def test_a_browser_gets_in_with_the_key_of_the_server_and_no_further_than_the_page():
    with page_served(key=KEY) as server:
        sent = server.get("/ui/", headers=HTML)
        assert (sent.status_code, sent.headers["location"]) == (303, "/ui/login")
        assert server.get("/ui/login", headers=HTML).status_code == 200
        assert server.get("/ui/media/0/upload").status_code == 401
        wrong = login(server, "not-the-key-at-all")
        assert wrong.status_code == 401
        assert "set-cookie" not in wrong.headers
        right = login(server)
        assert (right.status_code, right.headers["location"]) == (303, "/ui/")
        flags = right.headers["set-cookie"].lower()
        assert "httponly" in flags
        assert "samesite=strict" in flags
        assert KEY not in flags
        jar = {"Cookie": flags.split(";")[0]}
        assert server.get("/ui/", headers=jar | HTML).status_code == 200
        dropped = httpx.post(f"{server.url}/ui/media", content=png(), headers=jar).json()["id"]
        assert server.get(f"/ui/media/{dropped}/preview.jpg", headers=jar).status_code == 200
        assert server.get("/v1/files/0/masks.json", headers=jar).status_code == 404
        for path in ("/v1/models", "/metrics", "/v1/segment", "/openapi.json"):
            assert server.get(path, headers=jar).status_code == 401
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert server.get("/ui/", headers=bearer).status_code == 200
        out = httpx.post(f"{server.url}/ui/logout", headers=jar)
        assert 'segscout_session=""' in out.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_pages_of_other_sites_cannot_use_the_login_of_a_browser(headers):
    with page_served(key=KEY) as server:
        assert login(server, **headers).status_code == 403
        jar = {"Cookie": login(server, Origin=server.url).headers["set-cookie"].split(";")[0]}
        send = {"content": png(), "headers": jar | headers}
        assert httpx.post(f"{server.url}/ui/media", **send).json()["error"]["code"] == "foreign_site"
        same = jar | {"Sec-Fetch-Site": "same-origin"}
        assert httpx.post(f"{server.url}/ui/media", content=png(), headers=same).status_code == 200


def test_a_session_is_bound_to_the_key_and_ends(monkeypatch):
    def admitted(token: str, key: str = KEY) -> bool:
        return session.has_session(Headers(raw=[(b"cookie", f"a=b; {session.COOKIE}={token}".encode())]), key)

    token = session.new_token(KEY)
    until, _, proof = token.partition(".")
    assert admitted(token)
    assert not admitted(token, KEY + "x")
    for forged in ("", ".", "9" * 10, f"{int(until) + 1}.{proof}", f"{until}.", f"{until}.é", f"٣{until}.{proof}"):
        assert not admitted(forged)
    later = time.time() + session.SECONDS + 1
    monkeypatch.setattr(session, "time", lambda: later)
    assert not admitted(token)


SHUT = (
    "gradio_api/file=/etc/passwd",
    "gradio_api/file=https://example.org/",
    "gradio_api/proxy=https://example.org/",
    "gradio_api/upload",
    "gradio_api/upload_progress",
    "gradio_api/component_server",
    "gradio_api/vibe-code",
    "gradio_api/run/predict",
    "gradio_api/call/predict",
    "gradio_api/openapi.json",
    "gradio_api/info",
    "gradio_api/runs",
    "monitoring",
    "file=/etc/passwd",
)


def test_what_the_page_does_not_need_of_gradio_is_shut():
    with page_served() as server:
        for path in SHUT:
            assert server.get(f"/ui/{path}").json()["error"]["code"] == "no_page", path
            assert server.post({}, f"/ui/{path}").json()["error"]["code"] == "no_page", path
        page = server.get("/ui/", headers=HTML)
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert server.get("/ui/", headers={"Host": "evil.example"}).status_code == 403
        assert "access-control-allow-origin" not in page.headers


def test_dropped_media_keep_to_the_limits_of_the_server(tmp_path):
    limits = Limits(max_bytes=20_000, max_pixels=10_000, max_frames=5)
    with page_served(media=limits) as server:
        for data, told in (
            (b"", "empty"),
            (b"<svg onload=alert(1)>", "Give JPEG"),
            (png((200, 200)), "pixels"),
            (b"x" * 20_001, "20001 bytes"),
            (write_clip(tmp_path / "long.mp4").read_bytes(), "frames"),
        ):
            reply = httpx.post(f"{server.url}/ui/media", content=data)
            assert reply.status_code == 400
            assert reply.json()["error"]["code"] == "media"
            assert told in reply.json()["error"]["message"]
            assert "segscout-serve" not in reply.json()["error"]["message"]
        endless = httpx.post(f"{server.url}/ui/media", content=b"x" * 8_000_000).json()["error"]["message"]
        assert "more than the limit" in endless
        assert "8000000" not in endless  # it was cut off on the way
        dropped = httpx.post(f"{server.url}/ui/media", content=png()).json()["id"]
        shown = server.get(f"/ui/media/{dropped}/preview.jpg")
        assert shown.headers["content-type"] == "image/jpeg"
        assert server.get(f"/ui/media/{dropped}/upload").headers["x-content-type-options"] == "nosniff"
        for path in (f"{dropped}/about.json", f"{dropped}/..", f"{'0' * 32}/upload", "..%2f..%2fetc/passwd"):
            assert server.get(f"/ui/media/{path}").status_code == 404


async def test_media_that_cannot_be_used_leave_nothing_behind(tmp_path):
    uploads = Uploads(ServerSettings())
    try:

        async def write(path):
            path.write_bytes(b"no picture")

        with pytest.raises(MediaError):
            await uploads.add(write)
        assert [path.name for path in uploads.store.folder("x").parent.iterdir()] == [".lock"]
        with pytest.raises(RequestError):
            uploads.find("0" * 32)
    finally:
        uploads.store.close()


class Desk:
    """The page's own side of a server, without Gradio: one picture is dropped, and questions are asked of it."""

    def __init__(self, player: SegmentationAgent, **settings) -> None:
        self.runs = Runs(player, ServerSettings(**settings), Metrics())
        self.uploads = Uploads(self.runs.settings)

    async def __aenter__(self) -> "Desk":
        async def write(path):
            path.write_bytes(png())

        self.upload = await self.uploads.add(write)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.uploads.store.close()
        await self.runs.close()

    def ask(self, query: str = "the red square", upload: Upload | None = None, pending: Pending | None = None):
        return ask(self.runs, self.uploads, upload or self.upload, query, Stop(), pending)

    async def last(self, *args, **kwargs) -> Shown:
        shown = [one async for one in self.ask(*args, **kwargs)]
        assert [one.over for one in shown] == [False] * (len(shown) - 1) + [True]
        return shown[-1]


async def test_a_run_ends_in_a_verdict_with_masks_and_files():
    async with Desk(agent(IMAGE_SCRIPT)) as desk:
        parts = [one async for one in desk.ask()]
    assert [part.over for part in parts] == [False] * (len(parts) - 1) + [True]
    assert "masks.json" in parts[-1].status
    assert "overlay.png" in parts[-1].stage
    assert any("red square" in (part.steps or "") for part in parts[:-1])


async def test_a_question_is_shown_and_the_number_of_a_choice_answers_it():
    player, policy = torn(*TIED)
    async with Desk(player) as desk:
        asked = await desk.last("the square")
        assert "Which one is meant?" in asked.status
        assert asked.status.count("<li>") == 2
        assert asked.pending is not None
        answered = await desk.last("2", pending=asked.pending)
        assert "Found" in answered.status
        assert "the square" in answered.status
        assert answered.pending is None
        assert len(policy.seeds) == 5  # nothing was sampled again
        # a number is an answer only to the question about these media
        other = replace(asked.pending, upload_id="other")
        assert "<q>2</q>" in (await desk.last("2", pending=other)).status


@pytest.mark.parametrize(("query", "told"), [("  ", "nothing is asked"), ("x" * 5_000, "4000 characters")])
async def test_a_question_that_cannot_be_asked(query, told):
    async with Desk(agent(IMAGE_SCRIPT)) as desk:
        shown = await desk.last(query)
        assert told in shown.status
        assert desk.runs.metrics.render({}).count("episodes_total{") == 0
        nothing = [one async for one in ask(desk.runs, desk.uploads, None, "the red square", Stop())]
        assert "take an example" in nothing[0].status


async def test_the_page_waits_in_the_same_line_as_everyone():
    held = HeldPolicy(IMAGE_SCRIPT[2:])
    async with Desk(SegmentationAgent(held, segmenter=None), running=1, waiting=0) as desk:
        first = desk.ask()
        await anext(first)
        busy = asyncio.ensure_future(anext(first))
        while not held.came:
            await asyncio.sleep(0.01)
        assert "Try again in" in (await desk.last()).status
        busy.cancel()
        await asyncio.wait((busy,))
        await first.aclose()
        while not held.cancelled:
            await asyncio.sleep(0.01)
        held.go.set()
        assert "Found" in (await desk.last()).status  # its place is free again


async def test_media_that_are_gone_are_said_to_be():
    async with Desk(agent(IMAGE_SCRIPT)) as desk:
        gone = Upload("0" * 32, "image", 8, 8, 1, 0.0)
        assert "Drop them again" in (await desk.last(upload=gone)).status


@pytest.mark.parametrize(("key", "told"), [(None, "vllm serve"), (KEY, "The server&#x27;s log says more")])
async def test_a_failure_names_its_remedy_to_those_who_can_use_it(key, told):
    class Broken(HeldPolicy):
        async def complete(self, *args, **kwargs):
            raise PolicyError("10.0.0.7 does not answer.", remedy="Start it: vllm serve.")

    async with Desk(SegmentationAgent(Broken([]), segmenter=None), key=key) as desk:
        shown = await desk.last()
    assert told in shown.status
    assert ("10.0.0.7" in shown.status) is (key is None)
    assert shown.stage is None  # what was dropped stays where it is


class Tags(HTMLParser):
    """Every tag of a document with its attributes, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>${alert(1)}{{constructor}}&lt;b&gt; ![x](http://e.x/)'


@pytest.mark.parametrize(
    "source", ["javascript:alert(1)", "data:text/html,x", f"https://e.x/{HOSTILE}", "http://e.x/\"onclick='x'", "//e.x"]
)
def test_what_strangers_wrote_is_text_and_nothing_else(source):
    events = [
        TurnSampled("plan", 0, HOSTILE, Malformed(HOSTILE, HOSTILE), "stop", 1, 1, 0.1),
        SearchFinished("text_search", HOSTILE, "run", (FoundHit(HOSTILE, source, HOSTILE),), 0.1),
        SearchFinished("text_search", "x", "failed", (), 0.1, HOSTILE),
        Repaired(HOSTILE, HOSTILE),
    ]
    document = Tags(show_steps([Step(0.0, event) for event in events]))
    allowed = {"ol", "ul", "li", "span", "div", "p", "b", "q", "time"}
    assert {tag for tag, _ in document.tags} <= allowed
    assert {name for _, attributes in document.tags for name in attributes} <= {"class", "aria-label", "aria-live"}
    assert document.text.count(HOSTILE) >= 4  # and none of it is lost


def test_each_object_names_the_sources_that_it_rests_on_by_their_numbers():
    looked_up = [Evidence("q", "text_search", f"T{i}", f"kb:{i}", "said", 1) for i in range(30)]
    result = agent(IMAGE_SCRIPT).segment(np.zeros((48, 64, 3), np.uint8), "the rings")
    one = result.instances[0]
    objects = (
        replace(one, label=HOSTILE, evidence=(looked_up[29], looked_up[2])),
        replace(one, label="", evidence=(looked_up[2], replace(looked_up[29], claim="again", turn=2))),
        replace(one, label="plain", evidence=()),
    )
    cited = replace(result, instances=objects, evidence=tuple(looked_up))
    card = show_verdict(Finished(cited, "r", ()))
    listed = re.findall(r"<li>(.*?)</li>", card.split('class="objects"')[1].split("</ul>")[0])
    assert [re.findall(r"sources? ([\d, ]+)", line) for line in listed] == [["1, 2"], ["1, 2"], []]
    assert "<img" not in card
    sources = card.split("<details>")[1]
    assert re.findall(r"kb:\d+", sources)[:3] == ["kb:29", "kb:2", "kb:0"]
    assert sources.count("<li>") == 12
    # Where nothing is cited and nothing named, there is nothing to list.
    assert 'class="objects"' not in show_verdict(Finished(replace(result, evidence=tuple(looked_up)), "r", ()))
    result.media.close()


def test_a_source_of_the_web_is_a_link_that_tells_nobody_where_it_was_found():
    found = SearchFinished("text_search", "x", "run", (FoundHit("t", "https://e.x/a?b=1&c=2", "s"),), 0.1)
    links = [attributes for tag, attributes in Tags(show_steps([Step(0.0, found)])).tags if tag == "a"]
    assert [link["href"] for link in links] == ["https://e.x/a?b=1&c=2"]
    assert {"noopener", "noreferrer"} <= set(links[0]["rel"].split())


async def test_a_run_that_is_stopped_says_so_last_and_only_then_is_the_click_answered():
    gradio = pytest.importorskip("gradio", reason="the extra ui is not installed")
    from agent.page.page import Handlers

    tab, other = (gradio.Request(session_hash=name) for name in "ab")
    policy = HeldPolicy(IMAGE_SCRIPT[2:])
    async with Desk(SegmentationAgent(policy, segmenter=None)) as desk:
        handlers = Handlers(desk.runs, desk.uploads)
        for turns in range(2):  # before the run has begun, and in the midst of it
            run = handlers.asked(desk.upload, "the red square", None, tab)
            await anext(run)
            while turns and not policy.came:
                await anext(run)
            await handlers.stop(other)  # in whose tab nothing runs
            stopping = asyncio.create_task(handlers.stop(tab))
            await asyncio.sleep(0.02)
            assert not stopping.done()
            shown = [part async for part in run]
            await stopping
            assert ["Stopped" in str(part[0]) for part in shown] == [False] * (len(shown) - 1) + [True]
            assert shown[-1][4].visible  # the button that asks
            assert desk.runs.gate.running == 0
        assert policy.cancelled == policy.came == 1
