"""Which pictures a server holds: each is sent once, by one of all the episodes that show it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock

from graphs.conversation import ImageRef
from tools.errors import PolicyError
from tools.image_store import ImageStore

Places = Mapping[str, "Future[str]"]
"""What the server calls each picture, by sha256."""

Send = Callable[[Sequence[ImageRef], ImageStore], Awaitable[Sequence[str]]]
"""Send pictures and return what the server calls them, in order; PolicyError if it will not have them."""


class _AbandonedError(Exception):
    """Whoever was sending a picture gave up in the middle, so another must."""


class PlacedPictures:
    """Send pictures that nobody has sent, wait for those that others are sending; safe across event loops.

    Remembers the `keep` pictures used last. The futures are settled by whoever sends, never by those who wait.
    """

    def __init__(self, send: Send, *, keep: int = 65_536) -> None:
        self._send, self._keep = send, keep
        self._places: OrderedDict[str, Future[str]] = OrderedDict()
        self._lock = Lock()

    async def place(self, refs: Sequence[ImageRef], images: ImageStore) -> Places:
        """Return where pictures are, once the server has them all; raises PolicyError."""
        while True:
            mine, places = self._claim(refs)
            if mine:
                await self._send_mine(mine, places, images)
            try:
                for place in places.values():
                    if not place.done():
                        await asyncio.wrap_future(place)
                    place.result()
            except _AbandonedError:
                continue
            return places

    def forget(self, places: Places) -> None:
        """Forget pictures that the server has lost, unless they have been sent again since."""
        with self._lock:
            for sha256, place in places.items():
                if self._places.get(sha256) is place:
                    del self._places[sha256]

    def _claim(self, refs: Sequence[ImageRef]) -> tuple[list[ImageRef], dict[str, "Future[str]"]]:
        """Return the pictures that the caller must send, and the places of all."""
        mine: list[ImageRef] = []
        places: dict[str, Future[str]] = {}
        with self._lock:
            for ref in refs:
                place = self._places.get(ref.sha256)
                if place is None:
                    place = self._places[ref.sha256] = Future()
                    place.set_running_or_notify_cancel()  # or an episode that stops waiting would cancel it for all
                    mine.append(ref)
                self._places.move_to_end(ref.sha256)
                places[ref.sha256] = place
            while len(self._places) > self._keep:
                self._places.popitem(last=False)
        return mine, places

    async def _send_mine(self, mine: Sequence[ImageRef], places: Places, images: ImageStore) -> None:
        own = {ref.sha256: places[ref.sha256] for ref in mine}
        try:
            names = await self._send(mine, images)
            for place, name in zip(own.values(), names, strict=True):
                place.set_result(name)
        except PolicyError as error:
            self._fail(own, error)
            raise
        finally:
            self._fail(own, _AbandonedError())  # no effect unless the episode was stopped

    def _fail(self, places: Places, error: Exception) -> None:
        waiting = {sha256: place for sha256, place in places.items() if not place.done()}
        self.forget(waiting)
        for place in waiting.values():
            place.set_exception(error)
