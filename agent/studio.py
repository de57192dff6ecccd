"""The graph for LangGraph Studio and its server, named by `graphs/langgraph.json`: plain values in and out.

The nodes and their edges are those of `graphs.graph`. What they work with cannot come as JSON, so each node makes it
anew: the parts that the settings name are loaded once, media are opened by what the state says, and pictures are made
again as in a resumed episode. So a thread can be stopped, resumed and forked at every step.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import Annotated, Any

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from pydantic import Field
from typing_extensions import TypedDict

from agent.named_media import SENT_LIMITS, open_under, open_url
from agent.parts import choose_search, choose_segmenter
from agent.server.web_media import web_media
from graphs.context import Context
from graphs.graph import NODES
from graphs.masks import MaskStore
from graphs.nodes.timing import Goto, Node
from graphs.policies.loading import is_address, load_policy
from graphs.profiles import make_dialect, profile_for
from graphs.state import PlainFailure, PlainInstance, PlainMask, PlainSearch, State
from tools.image_store import ImageStore
from tools.media import Media
from tools.search.budgeted import RequestCount
from tools.search.choosing import WEB_SECONDS, SearchRequest, choose
from tools.settings import read_settings

FETCHED = Path("runs/studio")
"""Where media that URLs name are kept, under names made here."""


class StudioInput(TypedDict):
    """What to find, and where."""

    media: Annotated[str, Field(description="A file under the folder of the server, or a public https URL.")]
    query: Annotated[str, Field(description="What to find.")]


class StudioState(State, total=False):
    """The state of an episode, with the name of its media."""

    media: str


class StudioOutput(TypedDict, total=False):
    """How it ended, and what was found."""

    ending: str
    failure: PlainFailure
    keyframe: int
    instances: list[PlainInstance]
    masks: list[PlainMask]
    searches: list[PlainSearch]


def build_studio_graph() -> CompiledStateGraph[StudioState, None, StudioInput, StudioOutput]:
    """Compile the graph; persistence is the server's own."""
    builder = StateGraph(StudioState, input_schema=StudioInput, output_schema=StudioOutput)
    for name, node in NODES.items():
        builder.add_node(name, _plain(node), input_schema=StudioState)
    builder.add_edge(START, "plan")
    return builder.compile(name="segscout")


def _plain(node: Node[Goto]) -> Any:
    """Return a node that makes its own context from the state."""

    @wraps(node)
    async def run(state: StudioState, runtime: Runtime[None]) -> Command[Goto]:
        parts = await asyncio.to_thread(_parts)
        async with _open(state["media"]) as media:
            stores = replace(parts, images=ImageStore(), masks=MaskStore(), requests=RequestCount())
            context = replace(stores, media=media.frames)
            command = await node(state, runtime.override(context=context))  # type: ignore[arg-type]
        assert isinstance(command.update, dict)
        if len(context.masks):
            command.update["masks"] = context.masks.to_plain()
        return command

    return run


@lru_cache(maxsize=1)
def _parts() -> Context:
    """Load what the settings name, the shipped policy and segmenter by default; SegscoutError if a part is missing."""
    settings = read_settings()
    profile = profile_for(settings.policy, settings.profile)
    chosen = choose(SearchRequest(), settings)
    at_endpoint = is_address(settings.policy)
    return Context(
        policy=load_policy(
            settings.policy,
            model=settings.model if at_endpoint else None,
            device=settings.device,
            api_key=settings.secret() if at_endpoint else None,
        ),
        dialect=make_dialect(settings.dialect or profile.dialect, profile.view, profile.prompt),
        segmenter=choose_segmenter(settings.segmenter, model=settings.sam2_model, device=settings.device),
        search=choose_search(chosen.kb, chosen.web),
        budget=replace(profile.budget, search_seconds=WEB_SECONDS) if chosen.web else profile.budget,
        sampling=profile.sampling,
    )


@asynccontextmanager
async def _open(name: str) -> AsyncIterator[Media]:
    """Open the media of an episode; what a URL names is fetched once, and read from the disk after that."""
    if "://" in name:
        media = await _open_url(name)
    else:
        media = await open_under(Path(), name)
    try:
        yield media
    finally:
        media.close()


async def _open_url(url: str) -> Media:
    file = FETCHED / hashlib.sha256(url.encode()).hexdigest()
    if await asyncio.to_thread(file.is_file):
        return await open_under(FETCHED, file.name)
    await asyncio.to_thread(lambda: FETCHED.mkdir(parents=True, exist_ok=True))
    return await open_url(url, file, web_media(SENT_LIMITS))


graph = build_studio_graph()
"""What `graphs/langgraph.json` names."""
