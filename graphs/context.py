"""What an episode works with: policy, tools, media, limits. Never checkpointed, never copied into state."""

from collections.abc import Callable
from dataclasses import dataclass, field

from langgraph.runtime import Runtime

from graphs.budget import Budget
from graphs.candidates import Clarify
from graphs.dialects.base import Dialect
from graphs.events import Event
from graphs.journal import Journal
from graphs.masks import MaskStore
from graphs.policies.base import Policy, Sampling
from tools.image_store import ImageStore
from tools.search.base import SearchProvider
from tools.search.budgeted import RequestCount
from tools.segmenters.base import Frames, Segmenter


@dataclass(frozen=True, kw_only=True)
class Context:
    """The run-scoped context of the graph.

    Policy, dialect, search and segmenter may be shared by many concurrent episodes, so they must be safe for that;
    segmenters are called in worker threads. `images`, `masks` and `requests` belong to one episode: `run_episode` makes
    new ones.
    """

    policy: Policy
    dialect: Dialect
    segmenter: Segmenter | None = None
    """None: the episode ends with boxes and points, without masks."""
    search: SearchProvider | None = None
    """None: the policy gets the prompt without search."""
    media: Frames = ()
    budget: Budget = field(default_factory=Budget)
    sampling: Sampling = field(default_factory=Sampling)
    text_hits: int = 2
    image_hits: int = 1
    sink: Callable[[Event], None] | None = None
    """Called with every event, always from the event loop's thread."""
    clarify: Clarify | None = None
    """Whether to ask a person when answers disagree; only in a thread, which can wait for the answer."""
    journal: Journal | None = None
    """Set in a thread: what is told and cut is kept in its checkpoints."""
    images: ImageStore = field(default_factory=ImageStore)
    masks: MaskStore = field(default_factory=MaskStore)
    requests: RequestCount = field(default_factory=RequestCount)
    """What the episode's web searches have sent: each episode has their whole budget."""


def emit(runtime: Runtime[Context], event: Event) -> None:
    """Send an event to the custom stream and to the sink."""
    runtime.stream_writer(event)
    if runtime.context.sink is not None:
        runtime.context.sink(event)
    if runtime.context.journal is not None:
        runtime.context.journal.note(event)
