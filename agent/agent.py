"""The agent: media and a query in, masks with their evidence out; in process or at an endpoint, sync or async."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar
from uuid import uuid4

from agent.outcome import to_result
from agent.parts import choose_search, choose_segmenter, choose_threads
from agent.result import Result, Step
from agent.versions import Versions, segscout_version
from graphs.budget import Budget
from graphs.candidates import Clarify
from graphs.context import Context
from graphs.episode import EpisodeResult, Task, stream_episode
from graphs.events import Event
from graphs.policies.base import Policy
from graphs.policies.loading import is_address, load_policy
from graphs.profiles import make_dialect, profile_for
from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.media import Media, MediaSource, open_media
from tools.search.base import SearchProvider
from tools.segmenters.base import Segmenter
from tools.settings import read_settings

_Value = TypeVar("_Value")


class SegmentationAgent:
    """Find what a query describes, looking up what must be looked up, and cut it out of an image or a clip.

    `policy` is "embedded" (ships with the package), the URL of an OpenAI-compatible endpoint, a checkpoint folder, or
    a Policy; `model` names one of an endpoint's models. `profile` sets dialect, sizes and budget (default: "embedded",
    for a URL "qwen3-vl"); `dialect` and `budget` override it. `knowledge_base` is a folder with Seg-ReSearch corpora,
    or one in memory; without it and `search`, the policy answers from what it sees. `api_key` is SEGSCOUT_API_KEY
    unless given. The parts are loaded here, so what is missing is said here, as a SegscoutError with its remedy.
    One agent serves many episodes, also concurrently.

    `checkpoints` is a SQLite file in which threads are kept: a call with a `thread_id` that was cut short goes on where
    it stopped. With `clarify`, a person is asked when the policy's answers disagree (`graphs.candidates` says when, and
    what it costs): the Result then has a `question`, and the same call with its `thread_id` and a `choice` goes on.
    """

    def __init__(
        self,
        policy: str | Path | Policy = "embedded",
        *,
        model: str | None = None,
        profile: str | None = None,
        dialect: str | None = None,
        segmenter: str | Segmenter | None = "sam2",
        sam2_model: str | None = None,
        knowledge_base: str | Path | KnowledgeBase | None = None,
        search: SearchProvider | None = None,
        budget: Budget | None = None,
        device: str | None = None,
        api_key: str | None = None,
        seed: int = 0,
        checkpoints: str | Path | None = None,
        clarify: bool | Clarify = False,
    ) -> None:
        chosen = profile_for(policy, profile)
        key = read_settings().secret() if api_key is None and is_address(policy) else api_key
        self._context = Context(
            dialect=make_dialect(dialect or chosen.dialect, chosen.view, chosen.prompt),
            search=choose_search(knowledge_base, search),
            policy=load_policy(policy, model=model, device=device, api_key=key)
            if isinstance(policy, str | Path)
            else policy,
            segmenter=choose_segmenter(segmenter, model=sam2_model, device=device),
            budget=budget or chosen.budget,
            sampling=replace(chosen.sampling, seed=seed),
            clarify=Clarify() if clarify is True else clarify or None,
        )
        self._threads = choose_threads(checkpoints, clarify=bool(clarify))

    @property
    def versions(self) -> Versions:
        """Which parts this agent has."""
        context = self._context
        segmenter = context.segmenter.name if context.segmenter else "none"
        return Versions(segscout_version(), context.policy.name, segmenter, context.sampling.seed)

    @property
    def can_search(self) -> bool:
        """Whether there is anything to look things up in."""
        return self._context.search is not None

    def segment(
        self, media: MediaSource | Media, query: str, *, thread_id: str | None = None, choice: int | None = None
    ) -> Result:
        """Find and cut out what `query` describes; also inside a running event loop, as in a notebook.

        `media` is a file, a Pillow image, an RGB uint8 array (height, width, 3) or (frames, height, width, 3), or a
        list of them. Raises InputError or MediaError for what cannot be used; a policy, search or segmenter that
        fails on the way is told in the Result.

        With `thread_id` what was done is kept. The same call again goes on where the last one stopped, or returns its
        result if it was through; `choice` answers its question, 0 for none of the choices. Raises InputError if that
        thread is about something else, and CheckpointError if its checkpoints cannot be read or written.
        """
        return _run(self._once(media, query, thread_id, choice))

    async def asegment(
        self, media: MediaSource | Media, query: str, *, thread_id: str | None = None, choice: int | None = None
    ) -> Result:
        """Do the same as `segment` without blocking the event loop."""
        async for item in self.stream(media, query, thread_id=thread_id, choice=choice):
            if isinstance(item, Result):
                return item
        raise AssertionError("a stream ends with its Result")

    async def stream(
        self, media: MediaSource | Media, query: str, *, thread_id: str | None = None, choice: int | None = None
    ) -> AsyncGenerator[Event | Result]:
        """Do the same as `segment`, yielding every event as it happens and the Result last.

        Of a thread, only what is new is yielded; the Result's steps are all of it.
        """
        if thread_id is None and self._context.clarify is not None:
            thread_id = uuid4().hex
        opened = media if isinstance(media, Media) else await asyncio.to_thread(open_media, media)
        start = perf_counter()
        steps: list[Step] = []
        result: Result | None = None
        task = Task(query, opened.frames, opened.sha256)
        try:
            async for item in self._episode(task, thread_id, choice):
                if isinstance(item, EpisodeResult):
                    told = steps if thread_id is None else [Step(at, event) for at, event in item.told]
                    result = to_result(item, opened, told, self.versions, thread_id)
                else:
                    steps.append(Step(round(perf_counter() - start, 4), item))
                    yield item
        finally:
            if result is None and opened is not media:
                opened.close()  # else the result has them: it draws on them when it is saved
        assert result is not None
        yield result

    async def aclose(self) -> None:
        """Close the connections that the policy holds in the running event loop."""
        close = getattr(self._context.policy, "close", None)
        if close is not None:
            await close()

    async def _episode(
        self, task: Task, thread_id: str | None, choice: int | None
    ) -> AsyncGenerator[Event | EpisodeResult]:
        if thread_id is None:
            if choice is not None:
                raise InputError("a choice belongs to a thread.", remedy="Give the thread_id of the run that asked.")
            async for item in stream_episode(task, self._context):
                yield item
            return
        if self._threads is None:
            remedy = "Leave the thread out, or make the agent with checkpoints=FILE."
            raise InputError("there is nowhere to keep a thread.", remedy=remedy)
        from graphs.threads import stream_thread  # late, like the checkpoints: most agents keep none

        async with self._threads.hold(thread_id) as held:
            async for item in stream_thread(task, self._context, held, thread_id, choice):
                yield item

    async def _once(self, media: MediaSource | Media, query: str, thread_id: str | None, choice: int | None) -> Result:
        try:
            return await self.asegment(media, query, thread_id=thread_id, choice=choice)
        finally:
            await self.aclose()  # connections cannot outlive the loop that this call was given


def _run(work: Coroutine[Any, Any, _Value]) -> _Value:
    """Run a coroutine to its end, in a thread of its own if this one has a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="segscout") as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, work).result()
