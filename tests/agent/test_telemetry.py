"""Traces that a command sends to an OTLP backend, as a collector on the loopback interface receives them."""

import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import PIL.Image
import pytest
from agent_stubs import cli, frames, script
from chat_server import chat_server, in_threads, said
from pydantic import SecretStr

from agent.telemetry import read_headers, start_telemetry
from tools.errors import InputError
from tools.settings import Settings

KEY = "planted-key"


def settings(**said_: object) -> Settings:
    return Settings(_env_file=None, **said_)  # type: ignore[call-arg,arg-type]


@contextmanager
def collector():
    """Yields its address and the requests that come: path, headers and body."""
    came = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Stay silent."""

        def do_POST(self) -> None:
            came.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with in_threads(Handler) as url:
        yield url, came


def segment(folder, **environment):
    PIL.Image.fromarray(frames(1)[0]).save(folder / "one.png")
    with chat_server() as server:
        server.answers = [said(turn) for turn in script(0)]
        options = ("--policy", server.url, "--profile", "embedded", "--segmenter", "grabcut", "--json")
        return cli("segment", "one.png", "the emblem", *options, cwd=folder, SEGSCOUT_API_KEY=KEY, **environment)


def test_without_an_endpoint_nothing_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    start_telemetry(settings())


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"\.\[otel\]"):
        start_telemetry(settings(segscout_otlp_endpoint="http://127.0.0.1:9"))


def test_the_usual_names_of_the_variables_are_read_too(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://usual:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-key={KEY}")
    told = settings()
    assert told.otlp_endpoint == "http://usual:4318"
    assert read_headers(told) == {"x-key": KEY}
    monkeypatch.setenv("SEGSCOUT_OTLP_ENDPOINT", "http://ours:4318")
    assert settings().otlp_endpoint == "http://ours:4318"


def test_headers_are_names_and_values():
    assert read_headers(settings()) == {}
    assert read_headers(settings(segscout_otlp_headers=SecretStr("a=1, b = x=y "))) == {"a": "1", "b": "x=y"}
    with pytest.raises(InputError) as caught:
        read_headers(settings(segscout_otlp_headers=SecretStr(KEY)))
    assert KEY not in str(caught.value)


def test_settings_that_cannot_be_read_stop_a_run_but_not_its_help(tmp_path):
    (tmp_path / ".env").write_text("SEGSCOUT_SEARCH_CALLS=many\n")
    assert cli("replay", "--help", cwd=tmp_path).code == 0
    ran = cli("replay", "none.jsonl", cwd=tmp_path)
    assert ran.code == 2
    assert "Check .env" in ran.err


@pytest.mark.slow
def test_a_run_arrives_as_one_trace_without_keys_and_pictures(tmp_path):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with collector() as (url, came):
        (tmp_path / ".env").write_text(f"SEGSCOUT_OTLP_ENDPOINT={url}/\nSEGSCOUT_OTLP_HEADERS=x-key={KEY}-of-backend\n")
        ran = segment(tmp_path)
    assert ran.code == 0, ran.err
    assert {(path, headers["x-key"]) for path, headers, _ in came} == {("/v1/traces", f"{KEY}-of-backend")}
    exports = [ExportTraceServiceRequest.FromString(body) for _, _, body in came]
    resources = [resource for export in exports for resource in export.resource_spans]
    spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert len({span.trace_id for span in spans}) == 1
    names = [span.name for span in spans]
    assert {name: names.count(name) for name in ("segscout", "plan", "policy", "localize")} == {
        "segscout": 1,
        "plan": 1,
        "policy": 3,
        "localize": 1,
    }
    assert "segscout" in {a.value.string_value for a in resources[0].resource.attributes if a.key == "service.name"}
    told = b"".join(body for _, _, body in came)
    assert KEY.encode() not in told
    assert b"base64" not in told
    assert max(span.ByteSize() for span in spans) < 2_000
    assert KEY not in ran.out + ran.err


@pytest.mark.slow
def test_a_backend_that_is_down_costs_no_result(tmp_path):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
    start = time.monotonic()
    ran = segment(tmp_path, SEGSCOUT_OTLP_ENDPOINT="http://127.0.0.1:9", SEGSCOUT_OTLP_HEADERS=f"x-key={KEY}")
    assert ran.code == 0, ran.err
    assert ran.last["found"] is True
    assert KEY not in ran.err
    assert time.monotonic() - start < 40
