"""The report in a real browser: it shows itself, wants nothing from anybody, and fits a phone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headless_browser import DESKTOP, PHONE, chromium, wider_than_screen
from report_stubs import HOSTILE, write_data, write_run

from evals.report.folder import report_folder
from evals.runs.evaluation import SUMMARY


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def add_measures(path: Path) -> None:
    """Let a run have more measures than a phone has room for."""
    plain = json.loads(path.read_text())
    plain["measures"] += [plain["measures"][0] | {"name": f"measure {number}"} for number in range(12)]
    path.write_text(json.dumps(plain))


@pytest.mark.slow
def test_the_report_shows_itself_and_wants_nothing_from_anybody(browser: Any, tmp_path: Path) -> None:
    write_run(tmp_path / "run", write_data(tmp_path / "data"))
    add_measures(tmp_path / "run" / SUMMARY)
    address = report_folder(tmp_path / "run")[0].as_uri()
    grounds = set()
    for (width, height), scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message, told=told: told.append(message.text))
        page.on("pageerror", lambda error, told=told: told.append(str(error)))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(address)
        assert told == []
        assert [url for url in asked if not url.startswith("data:")] == [address]
        assert page.title() == "ReasonSeg val · Segscout"
        assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [320] * 17
        assert wider_than_screen(page) == 0
        assert HOSTILE in page.inner_text("blockquote >> nth=0")
        assert HOSTILE in page.inner_text(".failures")
        strip = page.locator(".strip circle").first.bounding_box()
        assert 0 < strip["x"] < width  # the style was let through: marks stand where they belong
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(grounds) == 2
