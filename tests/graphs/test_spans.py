"""Spans of OpenTelemetry: one trace a run, whole and apart from others, with nothing private in it."""

import asyncio
import base64
from dataclasses import replace

import pytest
from graph_stubs import DictSearch, clip, context
from langchain_core.runnables import RunnableLambda

from graphs.dialects.seg_research import answer_turn, keyframe_turn, search_turn
from graphs.episode import Task, run_episode
from graphs.policies.replay import ReplayPolicy
from graphs.spans import SpanHandler
from tools.errors import PolicyError

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SCRIPT = [
    search_turn("who", "text_search", "Helsa"),
    keyframe_turn("closer", 3),
    answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3)),
]
KEY = "sk-planted"


class Recorder:
    """A provider of its own, so that tests do not share the process's."""

    def __init__(self):
        self.provider, self._memory = TracerProvider(), InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.config = {"callbacks": [SpanHandler(self.provider)]}

    @property
    def spans(self):
        return sorted(self._memory.get_finished_spans(), key=lambda span: span.start_time)

    def tree(self, root=None):
        """Each span by its name with the spans under it."""
        at = root.context.span_id if root else None
        under = [span for span in self.spans if (span.parent.span_id if span.parent else None) == at]
        return [(span.name, self.tree(span)) for span in under]

    def text(self) -> str:
        return "".join(span.to_json() for span in self.spans)


async def test_a_run_is_one_trace_of_nodes_calls_and_searches():
    recorder = Recorder()
    result = await run_episode(Task("the emblem", clip()), context(SCRIPT), config=recorder.config)
    assert result.found
    policy = [("policy", [])]
    nodes = [
        ("plan", policy),
        ("search", [("search", [])]),
        ("observe", []),
        ("reason", policy),
        ("observe", []),
        ("reason", policy),
        ("localize", []),
    ]
    assert recorder.tree() == [("segscout", nodes)]
    assert len({span.context.trace_id for span in recorder.spans}) == 1
    root = recorder.spans[0].attributes
    assert (root["segscout.query"], root["segscout.ending"]) == ("the emblem", "found")
    assert (root["segscout.turns"], root["segscout.searches"]) == (3, 1)
    call = next(span for span in recorder.spans if span.name == "policy")
    assert call.attributes["gen_ai.request.model"] == ReplayPolicy(()).name
    asked = next(span for span in recorder.spans if "search.query" in span.attributes)
    assert (asked.attributes["search.query"], asked.attributes["search.hits"]) == ("Helsa", 1)
    assert asked.end_time - asked.start_time >= 0


async def test_runs_side_by_side_are_not_mixed_up():
    recorder = Recorder()
    slow = DictSearch({"Helsa": "x"}, delay=0.02)
    runs = [run_episode(Task(f"q{i}", clip()), context(SCRIPT, search=slow), config=recorder.config) for i in range(4)]
    await asyncio.gather(*runs)
    trees = recorder.tree()
    assert len(trees) == 4
    assert all(tree == trees[0] for tree in trees)
    assert {span.attributes["segscout.query"] for span in recorder.spans if not span.parent} == {"q0", "q1", "q2", "q3"}
    traces = {span.context.trace_id for span in recorder.spans}
    assert len(traces) == 4


async def test_a_run_is_part_of_the_trace_that_it_is_called_in():
    recorder = Recorder()
    with recorder.provider.get_tracer("test").start_as_current_span("request"):
        await run_episode(Task("q", clip()), context(SCRIPT), config=recorder.config)
    assert [name for name, _ in recorder.tree()] == ["request"]
    assert recorder.tree()[0][1][0][0] == "segscout"


async def test_calls_below_a_call_are_part_of_it():
    recorder = Recorder()

    class Instrumented(ReplayPolicy):
        async def complete(self, *arguments, **options):
            trace.get_tracer("http", tracer_provider=recorder.provider).start_span("POST").end()
            return await super().complete(*arguments, **options)

    await run_episode(Task("q", clip()), context(Instrumented(SCRIPT[-1:])), config=recorder.config)
    assert recorder.tree()[0][1][0] == ("plan", [("policy", [("POST", [])])])


async def test_failures_are_marked_and_none_of_their_words_are_kept():
    recorder = Recorder()

    class Broken(ReplayPolicy):
        async def complete(self, *arguments, **options):
            raise PolicyError(f"refused {KEY}.", remedy="Try another.")

    await run_episode(Task("q", clip()), context(Broken(())), config=recorder.config)
    failed = {span.name: span.status.description for span in recorder.spans if not span.status.is_ok}
    assert failed == {"segscout": "policy", "policy": "policy"}
    await run_episode(Task("q", clip()), context(SCRIPT, search=DictSearch(broken=1)), config=recorder.config)
    failed = [span for span in recorder.spans if span.name == "search" and not span.status.is_ok]
    assert [span.attributes["error.type"] for span in failed] == ["search"]
    assert KEY not in recorder.text()
    assert "on fire" not in recorder.text()


async def test_a_cancelled_run_ends_all_its_spans():
    recorder = Recorder()
    search = DictSearch(delay=60.0)
    slow = context(SCRIPT, search=search)
    run = asyncio.create_task(run_episode(Task("q", clip()), slow, config=recorder.config))
    async with asyncio.timeout(30):
        while not search.at_once:
            await asyncio.sleep(0.01)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    ended = {span.name: span.status.description for span in recorder.spans if not span.status.is_ok}
    assert ended == {"segscout": "CancelledError", "search": "CancelledError"}
    assert recorder.config["callbacks"][0]._spans == {}


async def test_pictures_conversation_and_findings_stay_out():
    recorder = Recorder()
    found = DictSearch({"Helsa": "the words of a page"})
    long = "x" * 3_000
    result = await run_episode(Task(long, clip()), context(SCRIPT, search=found), config=recorder.config)
    told = recorder.text()
    assert "the words of a page" not in told
    assert "closer" not in told  # a thought of the policy
    assert long[:500] in told
    assert long[:501] not in told
    picture = base64.b64encode(result.images.get(next(iter(result.images._images)))[:2].tobytes()).decode()
    assert picture[:32] not in told
    assert max(len(span.to_json()) for span in recorder.spans) < 4_000


async def test_runs_of_others_are_passed_over():
    recorder = Recorder()
    await RunnableLambda(lambda value: value, name="theirs").ainvoke(1, recorder.config)
    assert recorder.spans == []


async def test_without_a_handler_nothing_is_recorded(monkeypatch):
    monkeypatch.setattr(SpanHandler, "call", None)  # would fail if it were called
    result = await run_episode(Task("q", clip()), replace(context(SCRIPT)))
    assert result.found
