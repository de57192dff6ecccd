"""The page of a server on the loopback interface, and the browser that looks at it."""

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import PIL.Image
import pytest
from agent_stubs import HEIGHT, WIDTH, square
from headless_browser import DESKTOP
from server_stubs import HeldPolicy, Served, served

from agent import SegmentationAgent

_reached: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _reached and event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments
        for noted in _reached:
            noted.append(str(address[0] if isinstance(address, tuple) else "a socket of this machine"))


sys.addaudithook(_note)  # which can never be taken away again


@contextmanager
def hosts_reached() -> Iterator[list[str]]:
    """The hosts that this process looks up or connects to until the block ends."""
    noted: list[str] = []
    _reached.append(noted)
    try:
        yield noted
    finally:
        _reached.remove(noted)


@contextmanager
def page_served(player: SegmentationAgent | None = None, **settings: Any) -> Iterator[Served]:
    """Serve an agent with its page; skips where Gradio is not installed."""
    pytest.importorskip("gradio", reason="the extra ui is not installed")
    with served(player, page=True, **settings) as server:
        yield server


@contextmanager
def tab(browser: Any, url: str, size: tuple[int, int] = DESKTOP) -> Iterator[Any]:
    """A tab that shows the page, whose addresses asked for are in `page.asked`."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"{url}/ui")
    page.wait_for_selector("#stage .stage")
    try:
        yield page
    finally:
        context.close()


def choose(page: Any, name: str, data: bytes) -> None:
    """Choose a file."""
    page.set_input_files("#stage input[type=file]", {"name": name, "mimeType": "video/mp4", "buffer": data})


def drop(page: Any, name: str, data: bytes) -> None:
    """Choose a file, and wait until the page shows it."""
    choose(page, name, data)
    page.wait_for_selector("#stage .frame")


def picture_of(page: Any, selector: str) -> np.ndarray:
    """What the screen shows of an element, RGB uint8 (height, width, 3)."""
    return np.asarray(PIL.Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB"))


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait at least for twice the time in which Gradio asks whether a page is still there (15 seconds)."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


class SteppedPolicy(HeldPolicy):
    """Plays a script, but each turn only when a test allows it."""

    def __init__(self, turns: list[str]) -> None:
        super().__init__(turns)
        self.go = _Turnstile()


class _Turnstile:
    def __init__(self) -> None:
        self._left = 0

    def is_set(self) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        return True

    def set(self, turns: int = 99) -> None:
        self._left += turns


def box_mask(frame: int, scale: int) -> np.ndarray:
    """The square of `agent_stubs` in a frame, drawn here: boolean (height, width)."""
    mask = np.zeros((HEIGHT * scale, WIDTH * scale), bool)
    x1, y1, x2, y2 = (value * scale for value in square(frame))
    mask[y1:y2, x1:x2] = True
    return mask


def on_screen(mask: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """A mask in the size in which the screen shows its picture."""
    rows = (np.arange(shown.shape[0]) * mask.shape[0]) // shown.shape[0]
    columns = (np.arange(shown.shape[1]) * mask.shape[1]) // shown.shape[1]
    return mask[np.ix_(rows, columns)]
