"""Spans of OpenTelemetry: one trace a run, with its nodes and, in them, the calls of the policy and the searches.

Nothing is recorded until `trace_runs` is called, or a `SpanHandler` is among the callbacks of a run. A span holds
names, numbers, and what was asked and searched for; never a picture, a conversation, a key, or the words of an error.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import TracebackType
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.tracers.context import register_configure_hook
from langgraph.config import get_config

from tools.errors import InputError, SegscoutError, boundary

GRAPH = "segscout"
"""The name of the compiled graphs, and so of the span around a run."""

Attributes = Mapping[str, str | int | float]
Describe = Callable[[Attributes], None]
"""Adds attributes to a span."""

_MAX_CHARS = 500


class SpanHandler(BaseCallbackHandler):
    """A LangChain callback that makes spans of runs of our graph, side by side as they may be; others it passes over.

    `provider` is a tracer provider, by default the one that is set for the process. InputError if OpenTelemetry is not
    installed.
    """

    run_inline = True  # a thread for each callback would cost more than the span

    def __init__(self, provider: Any = None) -> None:
        with boundary(
            InputError,
            "traces need opentelemetry, which cannot be imported",
            remedy="Install the extra: pip install --editable '.[otel]'.",
        ):
            from opentelemetry import trace
        self._trace = trace
        self._tracer = trace.get_tracer(GRAPH, tracer_provider=provider)
        self._spans: dict[UUID, Any] = {}

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """Begin the span of a run or of one of its nodes."""
        name = str(kwargs.get("name"))
        parent = self._spans.get(parent_run_id) if parent_run_id else None
        if parent is None and name != GRAPH:
            return
        span = self._tracer.start_span(name, context=self._under(parent))
        if parent is None and isinstance(inputs, dict):
            span.set_attributes(_shortened({"segscout.query": str(inputs.get("query", ""))}))
        self._spans[run_id] = span

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End a span; that of a run says how the run ended and what it took."""
        span = self._spans.pop(run_id, None)
        if span is None:
            return
        if isinstance(outputs, dict) and (ending := outputs.get("ending")):
            counts = outputs.get("counts", {})
            for name in ("turns", "prompt_tokens", "completion_tokens"):
                span.set_attribute(f"segscout.{name}", int(counts.get(name, 0)))
            span.set_attribute("segscout.searches", len(outputs.get("searches", [])))
            span.set_attribute("segscout.ending", ending)
            if ending.endswith("_broken"):
                self._fail(span, outputs["failure"]["boundary"])
        span.end()

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of what was cancelled or raised an error."""
        span = self._spans.pop(run_id, None)
        if span is not None:
            self._fail(span, type(error).__name__)
            span.end()

    @contextmanager
    def call(self, name: str, node: UUID | None, attributes: Attributes) -> Iterator[Describe]:
        """Make a span of a call to the outside under a node's; yields what adds attributes to it."""
        span = self._tracer.start_span(
            name,
            context=self._under(self._spans.get(node) if node else None),
            kind=self._trace.SpanKind.CLIENT,
            attributes=_shortened(attributes),
        )

        def close(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
            if error is not None:
                self._fail(span, error.boundary if isinstance(error, SegscoutError) else type(error).__name__)
            span.end()

        with ExitStack() as stack:
            stack.push(close)
            stack.enter_context(self._trace.use_span(span, record_exception=False, set_status_on_exception=False))
            yield lambda more: span.set_attributes(_shortened(more))

    def _under(self, parent: Any) -> Any:
        """Return the context of a span, None for the current one."""
        return None if parent is None else self._trace.set_span_in_context(parent)

    def _fail(self, span: Any, what: str) -> None:
        """Mark a span as failed; the words of an error may hold anything, so they stay out."""
        span.set_status(self._trace.StatusCode.ERROR, what)
        span.set_attribute("error.type", what)


@lru_cache(maxsize=1)
def trace_runs() -> None:
    """Trace every run of this process from now on, to the tracer provider that is set; more calls change nothing."""
    handler = SpanHandler()
    active: ContextVar[Any] = ContextVar("segscout_spans", default=handler)
    register_configure_hook(active, inheritable=True)


@contextmanager
def call_span(name: str, attributes: Attributes) -> Iterator[Describe]:
    """Make a span of a call to the outside if the run is traced; yields what adds attributes to it."""
    callbacks = get_config().get("callbacks")
    manager = callbacks if isinstance(callbacks, BaseCallbackManager) else None
    handlers = manager.handlers if manager else []
    handler = next((one for one in handlers if isinstance(one, SpanHandler)), None)
    if handler is None or manager is None:
        yield _pass_over
        return
    with handler.call(name, manager.parent_run_id, attributes) as describe:
        yield describe


def _pass_over(attributes: Attributes) -> None:
    """Take attributes of a run that is not traced."""


def _shortened(attributes: Attributes) -> dict[str, str | int | float]:
    return {name: value[:_MAX_CHARS] if isinstance(value, str) else value for name, value in attributes.items()}
