"""Send traces of runs to an OTLP backend, if the settings name one."""

from agent.versions import segscout_version
from tools.errors import InputError, boundary
from tools.settings import Settings

_SECONDS = 3.0
"""For one export; a backend that is down must not hold a command up for long."""


def start_telemetry(settings: Settings) -> None:
    """Trace all runs of this process to `otlp_endpoint`; what is left is sent when the process ends.

    InputError if the extra is missing or the headers cannot be read.
    """
    if settings.otlp_endpoint is None:
        return
    remedy = "Install the extra: pip install --editable '.[otel]'."
    with boundary(InputError, "traces need opentelemetry, which cannot be imported", remedy=remedy):
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from graphs.spans import trace_runs

    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", headers=read_headers(settings), timeout=_SECONDS
    )
    provider = TracerProvider(
        resource=Resource.create({"service.name": "segscout", "service.version": segscout_version()})
    )
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=_SECONDS * 1_000))
    trace.set_tracer_provider(provider)
    trace_runs()


def read_headers(settings: Settings) -> dict[str, str]:
    """Return the headers of the backend; InputError, which repeats none of them, if they are not name=value."""
    told = settings.otlp_headers.get_secret_value() if settings.otlp_headers else ""
    pairs = [part.partition("=") for part in told.split(",") if part.strip()]
    if not all(name.strip() and mark and name.isascii() and value.isascii() for name, mark, value in pairs):
        raise InputError("SEGSCOUT_OTLP_HEADERS cannot be read.", remedy="Write it as name=value,name=value.")
    return {name.strip(): value.strip() for name, _, value in pairs}
