"""The Chromium of the system without a window, and the two screens that pages are looked at on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = ("no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking")
_MORE_FLAGS = ("disable-component-update", "disable-sync")
DESKTOP, PHONE = (1280, 900), (390, 844)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    flags = [f"--{flag}" for flag in _FLAGS + _MORE_FLAGS]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=flags, headless=True)
        try:
            yield browser
        finally:
            browser.close()


def wider_than_screen(page: Any) -> int:
    """By how many pixels the page must be scrolled sideways to see all of it."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
