"""The page in a real browser: from the dropped clip to the mask on the screen, and what happens when it goes wrong."""

import json
import signal
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from agent_stubs import FRAMES, script, write_clip
from graph_stubs import BoxSegmenter, DictSearch
from headless_browser import PHONE, chromium, wider_than_screen
from page_stubs import (
    SteppedPolicy,
    box_mask,
    choose,
    drop,
    hosts_reached,
    on_screen,
    page_served,
    picture_of,
    tab,
    wait_until,
)
from pycocotools import mask as coco
from scipy.ndimage import minimum_filter
from server_stubs import HeldPolicy
from test_server_command import EXAMPLE, process

from agent import SegmentationAgent
from agent.overlay import COLOURS
from graphs.policies.openai import OpenAIPolicy
from tools.segmenters.base import Frames, Prompt, Segment, Segmenter

KEYFRAME, SCALE = 2, 6
FACT = "The emblem of the Otters is a red square."


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


class SquareSegmenter(BoxSegmenter):
    """Follows the square through the clip."""

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        for index in [*range(keyframe, len(frames)), *range(keyframe - 1, -1, -1)]:
            yield index, [Segment(box_mask(index, SCALE), 1.0)]


def player(policy: HeldPolicy, fact: str = FACT, segmenter: Segmenter | None = None) -> SegmentationAgent:
    return SegmentationAgent(policy, segmenter=segmenter or BoxSegmenter(), search=DictSearch({"Otters": fact}))


def ask(page: Any, query: str) -> None:
    page.fill("#query textarea", query)
    page.click("#find")


def colours(page: Any, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """The median colours on the screen inside the square and outside of it, both away from its edge; RGB."""
    shown, square = picture_of(page, "#stage video"), box_mask(frame, SCALE)
    inner, outer = erode(square), erode(~square)
    return tuple(np.median(shown[on_screen(mask, shown)], axis=0) for mask in (inner, outer))


def erode(mask: np.ndarray) -> np.ndarray:
    """A mask without what is near its edge or covered by a label."""
    return minimum_filter(mask, 6 * SCALE)


def frame_shown(page: Any, frame: int) -> None:
    page.wait_for_function(
        "frame => {const v = document.querySelector('#stage video');"
        " return v && v.readyState > 1 && !v.seeking && Math.floor(v.currentTime * v.dataset.fps) === frame}",
        arg=frame,
    )


@pytest.mark.slow
def test_from_the_dropped_clip_to_the_mask_on_the_screen(browser, tmp_path):
    with hosts_reached() as reached:
        hosts = from_the_clip_to_the_mask(browser, tmp_path)
    assert hosts == {"127.0.0.1"}  # the browser stays on this machine
    assert set(reached) <= {"127.0.0.1", "a socket of this machine"}  # and so does the server


def from_the_clip_to_the_mask(browser: Any, tmp_path: Path) -> set[str | None]:
    policy = SteppedPolicy(script(KEYFRAME))
    clip = write_clip(tmp_path / "clip.mp4", scale=SCALE).read_bytes()
    with page_served(player(policy, segmenter=SquareSegmenter())) as server, tab(browser, server.url) as page:
        drop(page, "../../<b>clip.mp4", clip)
        ask(page, "the emblem of the Otters")
        policy.go.set(1)
        page.wait_for_selector(".step.search .hits")  # the first steps are there before the second turn is taken
        assert FACT in page.inner_text("#steps")
        assert policy.came == 2
        assert page.is_visible("#stop")
        assert "Thinking" in page.inner_text("#status")
        policy.go.set()
        page.wait_for_selector(".card.found")
        assert page.is_visible("#find")
        frame_shown(page, KEYFRAME)
        masked, around = colours(page, KEYFRAME)
        assert masked == pytest.approx((np.array([200, 30, 30]) + COLOURS[0]) / 2, abs=12)
        assert around == pytest.approx(90, abs=8)
        page.locator(".scrub input").fill("5")
        frame_shown(page, 5)
        assert colours(page, 5)[0] == pytest.approx(masked, abs=8)
        with page.expect_download() as taken:
            page.click("text=Masks · COCO")
        masks = json.loads(taken.value.path().read_text())
        for name, start in (("PNG", b"\x89PNG"), ("MP4", b"ftyp")):
            with page.expect_download() as taken:
                page.click(f"text={name}")
            assert start in taken.value.path().read_bytes()[:12]
        hosts = {urlsplit(url).hostname for url in page.asked if not url.startswith(("data:", "blob:"))}
    assert [one["image_id"] for one in masks["annotations"]] == list(range(FRAMES))
    for one in masks["annotations"]:
        assert (coco.decode(one["segmentation"]).astype(bool) == box_mask(one["image_id"], SCALE)).all()
    return hosts


@pytest.mark.slow
def test_stop_and_leaving_cancel_the_run_and_lose_nothing(browser, tmp_path):
    policy = HeldPolicy(script(KEYFRAME)[2:])
    clip = write_clip(tmp_path / "clip.mp4").read_bytes()
    with page_served(player(policy)) as server:
        with tab(browser, server.url) as page:
            drop(page, "clip.mp4", clip)
            ask(page, "the red square")
            wait_until(lambda: policy.came == 1)
            page.click("#stop")
            wait_until(lambda: policy.cancelled == 1)
            page.wait_for_selector("text=Stopped")
            assert page.input_value("#query textarea") == "the red square"
            page.click("#find")
            wait_until(lambda: policy.came == 2)
            assert page.is_visible("#stage video")
            page.click(".example")  # new media, too, end the run on the old ones
            wait_until(lambda: policy.cancelled == 2)
            page.click("#find")
            wait_until(lambda: policy.came == 3)
            choose(page, "clip.mp4", clip)
            wait_until(lambda: policy.cancelled == 3)
            page.wait_for_selector("#find")
            page.click("#find")
            wait_until(lambda: policy.came == 4)
        wait_until(lambda: policy.cancelled == 4)
        assert server.metric("segscout_runs_in_flight") == 0


@pytest.mark.slow
def test_what_strangers_wrote_stays_text_in_the_browser(browser):
    hostile = (
        "<img src='http://198.51.100.7/x' onerror='window.hit=1'>${window.hit=2}{{hit}}<script>window.hit=3</script>"
    )
    policy = HeldPolicy(script(0))
    policy.go.set()
    with page_served(player(policy, hostile)) as server, tab(browser, server.url, PHONE) as page:
        page.click(".example >> nth=0")
        page.wait_for_selector("#stage video")
        ask(page, f"{hostile} {'x' * 300}")
        page.wait_for_selector(".card")
        page.wait_for_timeout(200)
        assert page.evaluate("window.hit") is None
        assert page.locator("#steps img, #steps script, #status img").count() == 0
        assert hostile in page.inner_text("#steps")
        assert not [url for url in page.asked if "198.51.100.7" in url]
        assert wider_than_screen(page) == 0


@pytest.mark.slow
def test_failures_are_kind_and_lose_nothing(browser, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    down = SegmentationAgent(OpenAIPolicy(f"http://127.0.0.1:{port}/v1", model="x", retries=0), segmenter=None)
    with page_served(down) as server, tab(browser, server.url, PHONE) as page:
        page.click("#find")
        page.wait_for_selector("text=take an example")
        assert "--search" in page.inner_text("#hint")
        choose(page, "clip.mp4", b"no clip")
        page.wait_for_selector(".slip:visible")
        assert page.inner_text(".slip").startswith("Upload is neither picture nor video that can be read. Give JPEG")
        drop(page, "clip.mp4", write_clip(tmp_path / "clip.mp4").read_bytes())
        ask(page, "the red square")
        page.wait_for_selector(".card.failed")
        told = page.inner_text(".card.failed")
        assert str(port) in told
        assert "still here" in told
        assert page.input_value("#query textarea") == "the red square"
        assert page.is_visible("#stage video")
        assert page.is_visible("#find")
        assert wider_than_screen(page) == 0


@pytest.mark.slow
def test_the_example_on_a_phone_with_the_parts_that_ship(browser, tmp_path):
    key = "a-key-of-sixteen-characters"
    (tmp_path / "key").write_text(key)
    arguments = ("--api-key-file", "key", "--kb", str(EXAMPLE / "kb"))
    with process(tmp_path, *arguments, TMPDIR=str(tmp_path)) as (server, ran):
        context = browser.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, accept_downloads=True)
        page = context.new_page()
        page.goto(f"{server.url}/ui")
        assert urlsplit(page.url).path == "/ui/login"
        page.fill("#key", "wrong")
        page.click("button")
        page.wait_for_selector("[role=alert]")
        page.fill("#key", key)
        page.click("button")
        page.click(".example >> nth=0")
        page.wait_for_selector("#stage video")
        before = picture_of(page, "#stage video")
        page.click("#find")
        page.wait_for_selector(".step.search .hits")
        assert page.locator(".card").count() == 0
        page.wait_for_selector(".card.found", timeout=120_000)
        assert "Lorergate Riders is a dotted white cross" in page.inner_text("#steps")
        frame_shown(page, 0)
        after = picture_of(page, "#stage video").astype(int)
        assert wider_than_screen(page) == 0
        with page.expect_download() as taken:
            page.click("text=Masks · COCO")
        masks = json.loads(taken.value.path().read_text())
        ran.send_signal(signal.SIGINT)  # the tab is open, and holds nobody up
        ran.wait(30)
        told = ran.stdout.read()
        context.close()
    assert f"{server.url}/ui" in told
    assert "Traceback" not in told
    assert key not in told
    first = next(one for one in masks["annotations"] if one["image_id"] == 0)
    mask = coco.decode(first["segmentation"]).astype(bool)
    moved = (after - before)[on_screen(mask, after)].mean(axis=0)
    # Half of red over a white cross with black dots: green goes down most, red hardly.
    assert moved[1] < -50
    assert moved[1] < moved[0] - 50
