"""Keys and passwords: in one class, listed in `.env.example`, and in nothing that a run says, saves or fails with."""

import re

import PIL.Image
import pytest
from agent_stubs import ROOT, cli, frames, script
from chat_server import chat_server, error, said
from pydantic import SecretStr

from graphs.policies.openai_replies import to_policy_error
from graphs.policies.vllm_server import VLLMServer
from tools.settings import Settings

EXAMPLE = (ROOT / ".env.example").read_text()
KEYS = {
    name: f"planted-{name}" for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
}
PASSWORD = "planted-password"


def everything(folder) -> str:
    """All that a run has left in a folder, but the settings themselves."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".env"]
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


@pytest.fixture
def folder(tmp_path):
    PIL.Image.fromarray(frames(1)[0]).save(tmp_path / "one.png")
    lines = [f"SEGSCOUT_{name.upper()}={value}" for name, value in KEYS.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    return tmp_path


def test_the_example_lists_every_setting_with_its_default():
    said_ = dict(re.findall(r"^# (SEGSCOUT_\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    defaults = {f"SEGSCOUT_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert set(said_) == set(defaults)
    told = {name: "" if value is None else str(value).lower() for name, value in defaults.items()}
    assert {name: value.lower() for name, value in said_.items()} == told


def test_the_example_can_be_used_as_it_is(tmp_path, monkeypatch):
    for name in [*Settings.model_fields, "otel"]:
        monkeypatch.delenv(f"SEGSCOUT_{name.upper()}", raising=False)
    (tmp_path / ".env").write_text(re.sub(r"^# (SEGSCOUT_\w+=)", r"\1", EXAMPLE, flags=re.MULTILINE))
    assert Settings(_env_file=tmp_path / ".env") == Settings(_env_file=None)


def test_settings_show_no_secret():
    told = Settings(
        _env_file=None, policy=f"http://me:{PASSWORD}@host/v1", **{k: SecretStr(v) for k, v in KEYS.items()}
    )
    assert "planted" not in f"{told!r} {told} {told.model_dump_json(exclude={'policy'})}"


@pytest.mark.parametrize("status", [400, pytest.param(500, marks=pytest.mark.slow)])
def test_a_run_that_fails_shows_no_secret_even_if_the_server_repeats_it(folder, status):
    with chat_server() as server:
        server.answers = [error(status, f"your key {KEYS['api_key']} does not fit", retry_after="0")]
        policy = server.url.replace("//", f"//me:{PASSWORD}@")
        ran = cli(
            "segment", "one.png", "x", "--policy", policy, "--segmenter", "grabcut", "--debug", "--json", cwd=folder
        )
        assert server.requests
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert "planted" not in ran.out + ran.err + everything(folder)


@pytest.mark.slow
def test_a_run_that_succeeds_saves_no_secret(folder):
    with chat_server() as server:
        server.answers = [said(turn) for turn in script(0)]
        policy = server.url.replace("//", f"//me:{PASSWORD}@")
        options = ("--policy", policy, "--profile", "embedded", "--segmenter", "grabcut", "--out", "got", "--json")
        ran = cli("segment", "one.png", "x", *options, cwd=folder)
    assert ran.code == 0, ran.err
    assert (folder / "got/trace.jsonl").exists()
    assert "planted" not in ran.out + ran.err + everything(folder)


def test_the_token_endpoint_repeats_no_key():
    server = VLLMServer("http://127.0.0.1:9", api_key=KEYS["api_key"])
    told = server.explain(RuntimeError(f"refused {KEYS['api_key']}"))
    assert "refused [the key]" in str(told)


def test_without_a_key_nothing_is_taken_out_of_an_error():
    assert "none of it" in str(to_policy_error(RuntimeError("none of it"), "http://host/v1", "", ()))
