"""The package's promises: pins are complete, weights travel along, and no machine's particulars slip in."""

import re
import tomllib

from agent_stubs import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]


def name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_every_requirement_but_those_of_vllm_is_pinned():
    project = PROJECT["project"]
    extras = [one for extra, them in project["optional-dependencies"].items() if extra != "vllm" for one in them]
    pinned = {name(pin) for pin in PINS} | {name(project["name"])}  # one extra may include another
    assert {name(requirement) for requirement in [*project["dependencies"], *extras]} <= pinned


def test_pins_are_plain_versions():
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", pin) for pin in PINS)
    assert sorted(map(name, PINS)) == [name(pin) for pin in PINS]
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(PINS)


def test_weights_are_package_data():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    assert data["graphs.policies"] == data["tools.segmenters"] == ["embedded/*"]
