"""Searches from recordings: paid for once, and replayed exactly, offline, as often as one likes."""

import asyncio
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

from tools.errors import SearchError
from tools.search.base import ImageHit, SearchProvider, TextHit
from tools.search.kept_replies import keeping_replies
from tools.search.recordings import BrokenRecordingError, Key, Recording, Recordings

_log = logging.getLogger(__name__)


class CachedSearch:
    """Answer from recordings, and ask `inner` for what is not recorded; without `inner`, never ask anyone.

    A provider's fault is recorded as well: replayed as it was, but asked again when recording goes on. What a run
    gave up waiting for is not recorded.
    """

    def __init__(
        self, inner: SearchProvider | None, folder: Path, *, name: str, version: str, options: Mapping[str, str]
    ) -> None:
        """Keep recordings in `folder`; `name`, `version` and `options` are the provider's, so that none is mixed up."""
        self.name = name
        self._inner = inner
        self._recordings = Recordings(folder)
        self._version = version
        self._options = dict(sorted(options.items()))
        self._asking: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    async def search_text(self, query: str, limit: int) -> list[TextHit]:
        """Return the recorded hits, or the provider's; SearchError if there is no recording and no provider."""
        recording = await self._recording("text", query, limit)
        return self._recordings.texts_of(recording)

    async def search_images(self, query: str, limit: int) -> list[ImageHit]:
        """Return the recorded hits, or the provider's, their files among the recordings; SearchError as for texts."""
        recording = await self._recording("images", query, limit)
        return self._recordings.images_of(recording)

    async def _recording(self, kind: Literal["text", "images"], query: str, limit: int) -> Recording:
        key = Key(
            provider=self.name,
            version=self._version,
            kind=kind,
            query=" ".join(query.split()),
            limit=limit,
            options=self._options,
        )
        if self._inner is None:
            return _replayed(key, await asyncio.to_thread(self._recordings.find, key))
        # Whoever asks the same at the same time waits for the first one's answer, and pays nothing.
        lock = self._asking.setdefault((id(asyncio.get_running_loop()), key.name), asyncio.Lock())
        async with lock:
            found = await asyncio.to_thread(self._find_usable, key)
            return found or await self._record(self._inner, key)

    def _find_usable(self, key: Key) -> Recording | None:
        """Return a recording that need not be asked for again; a broken one is named in the log."""
        try:
            found = self._recordings.find(key)
        except BrokenRecordingError as error:
            _log.warning("asking again: %s", error)
            return None
        return None if found is None or found.fault else found

    async def _record(self, inner: SearchProvider, key: Key) -> Recording:
        texts: list[TextHit] = []
        images: list[ImageHit] = []
        replies = self._recordings.folder / "replies" / key.name
        try:
            with keeping_replies(replies):
                if key.kind == "text":
                    texts = await inner.search_text(key.query, key.limit)
                else:
                    images = await inner.search_images(key.query, key.limit)
        except SearchError as error:
            await asyncio.to_thread(self._recordings.keep_fault, key, error)
            raise
        recording = await asyncio.to_thread(self._recordings.keep, key, texts, images)
        await asyncio.to_thread(shutil.rmtree, replies, ignore_errors=True)
        return recording


def _replayed(key: Key, found: Recording | None) -> Recording:
    if found is None:
        told = f"the {key.kind} search {key.query[:100]!r} (limit {key.limit}) of {key.provider} was never recorded."
        raise SearchError(told, remedy="Record it first, with the cache on `record`.")
    if found.fault:
        raise SearchError(found.fault, remedy=found.remedy)
    return found
