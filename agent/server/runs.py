"""One run: an episode with all that is done for it, from opening the media to files that can be fetched."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from agent.agent import SegmentationAgent
from agent.result import Result
from agent.scratch import Scratch
from agent.server.errors import RequestError, log_error
from agent.server.files import FileStore, new_id
from agent.server.gate import Gate
from agent.server.links import FILES, Links
from agent.server.metrics import Metrics
from agent.server.settings import ServerSettings
from graphs.events import Event
from tools.errors import InputError, SegscoutError, boundary
from tools.media import Media

Opener = Callable[[Path], Awaitable[Media]]
"""Opens a run's media, given a folder for their files."""


@dataclass(frozen=True)
class Finished:
    """What a run came to: the result, whose media are closed with the run, and which files of it can be fetched."""

    result: Result
    run_id: str
    files: tuple[str, ...]


class Runs:
    """Start runs of one agent, not too many at once."""

    def __init__(self, agent: SegmentationAgent, settings: ServerSettings, metrics: Metrics) -> None:
        self.agent, self.settings, self.metrics = agent, settings, metrics
        self.gate = Gate(settings.running, settings.waiting, seconds=settings.waiting_seconds)
        self.store = FileStore(seconds=settings.file_seconds, max_bytes=settings.file_bytes)
        self.links = Links(settings.file_seconds)

    async def open(
        self, query: str, question: str, opener: Opener, thread_id: str | None = None, choice: int | None = None
    ) -> "Run":
        """Wait for a place, open the media, and return the run, which must be closed.

        With `thread_id`, it goes on with the run that asked a question, by the number of the choice.

        All that can be refused is refused here: RequestError if too many wait, MediaError for unusable media.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.gate.enter())
            until = asyncio.get_running_loop().time() + self.settings.run_seconds
            folder = stack.enter_context(closing(Scratch("run"))).path
            with boundary(SegscoutError, "the media could not be opened", remedy="Report it."):
                async with _limit(until):
                    media = await opener(folder)
            stack.callback(media.close)
            return Run(self, query, question, media, until, stack.pop_all(), thread_id, choice)

    def file_urls(self, finished: "Finished", base: str) -> dict[str, str]:
        """Return the address of every file of a run by its name; `base` is the server's own, ending in a slash.

        Where a key is asked for, the address opens without it, because browsers and chat pages cannot send one.
        """
        paths = {name: f"{FILES}{finished.run_id}/{name}" for name in finished.files}
        signed = {name: f"?{self.links.sign(path)}" if self.settings.key else "" for name, path in paths.items()}
        return {name: f"{base.removesuffix('/')}{path}{signed[name]}" for name, path in paths.items()}

    async def close(self) -> None:
        """Let go of everything: the files and the policy's connections."""
        self.store.close()
        await self.agent.aclose()


class Run:
    """A run that has its place and its media; an async context manager, so that both are given back."""

    def __init__(
        self,
        runs: Runs,
        query: str,
        question: str,
        media: Media,
        until: float,
        stack: AsyncExitStack,
        thread_id: str | None,
        choice: int | None,
    ) -> None:
        self._thread_id, self._choice = thread_id, choice
        self._runs, self._query, self._question = runs, query, question
        self._media, self._until, self._stack = media, until, stack

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def watch(self) -> AsyncGenerator[Event | Finished]:
        """Run the episode, yielding each event as it happens, and at last what it came to.

        Raises SegscoutError if a part broke, RequestError (504) if the time of the run is over.
        """
        start = monotonic()
        ending = "cancelled"
        try:
            with boundary(SegscoutError, "the run failed", remedy="Report it."):
                async with aclosing(self._episode()) as items:
                    async for item in items:
                        if isinstance(item, Finished):
                            ending = item.result.ending.value
                        yield item
        except SegscoutError as error:
            ending = error.boundary
            raise
        finally:
            self._runs.metrics.episode(ending, monotonic() - start)

    async def finish(self) -> Finished:
        """Run the episode to its end; raises as `watch` does."""
        async with aclosing(self.watch()) as items:
            async for item in items:
                if isinstance(item, Finished):
                    return item
        raise AssertionError("a run ends with what it came to")

    async def _episode(self) -> AsyncGenerator[Event | Finished]:
        stream = self._runs.agent.stream(self._media, self._query, thread_id=self._thread_id, choice=self._choice)
        async with aclosing(stream) as items:
            while True:
                async with _limit(self._until):
                    item = await anext(items)
                if isinstance(item, Result):
                    break
                yield item
        result = replace(item, query=self._question)
        if result.ending.broken and result.failure is not None:
            raise result.failure.to_error()
        async with _limit(self._until):
            finished = await self._save(result)
        yield finished

    async def _save(self, result: Result) -> Finished:
        """Save what can be fetched; a full disk costs the files, not the answer."""
        run_id, stop = new_id(), threading.Event()

        def save() -> list[str]:
            result.save(self._runs.store.folder(run_id), progress=lambda done, total: _go_on(stop))
            return self._runs.store.keep(run_id)

        try:
            names = await asyncio.to_thread(save) if result.ending.answered else []
        except SegscoutError as error:
            log_error(SegscoutError(error.message, remedy=error.remedy, boundary="files"))
            names = []
        finally:
            stop.set()
        return Finished(result, run_id, tuple(names))


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise InputError("nobody waits for the files any more.", remedy="Ask again.")


@asynccontextmanager
async def _limit(until: float) -> AsyncIterator[None]:
    """Raise RequestError (504) if the loop's clock passes `until` inside."""
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        told = "the run took longer than this server allows."
        raise RequestError(told, remedy="Send a shorter clip.", status=504, code="run_timeout") from error
