"""What a server holds: of all who need a thing there, one carries it and the others wait.

vLLM's HTTP process keeps a list of its own of what its engine holds, and drops what comes under a name on it. The two
come apart once the engine loses something, or breaks off a request that brought something new along with a name that it
had lost. So whatever is carried after a loss is carried under another name (vllm/multimodal/cache.py of 0.25.1).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock
from uuid import uuid4


class _Place:
    """Where a thing is, on its way or there, and what the server is told to call it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived: Future[bool] = Future()
        self.arrived.set_running_or_notify_cancel()  # or an episode that stops waiting would cancel it for all
        self.wanted = False

    async def arrives(self) -> bool:
        """Wait until the thing is there; false if whoever carried it failed or was stopped."""
        if not self.arrived.done():
            self.wanted = True
            await asyncio.wrap_future(self.arrived)
        return self.arrived.result()


class Claim:
    """Things that must all be on the server, those among them to `carry`, and where each is.

    Whoever claims must settle, or the others wait for ever.
    """

    def __init__(self, held: "Holdings") -> None:
        self._held = held
        self.carry: list[str] = []
        self.places: dict[str, _Place] = {}
        self._own: dict[str, _Place] = {}

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for what this claim carries, or did for what was carried last: he may come yet."""
        return bool(self.carry) and (self._held.shared or self._waited_for)

    def name(self, thing: str) -> str:
        """Return what the server is to call a thing."""
        return self.places[thing].name

    @property
    def _waited_for(self) -> bool:
        return any(place.wanted for place in self._own.values())

    def take(self, thing: str, place: _Place, *, own: bool) -> None:
        """Carry a thing; `own` if others wait for it at this place."""
        self.carry.append(thing)
        self.places[thing] = place
        if own:
            self._own[thing] = place

    def settle(self, arrived: bool) -> None:
        """Tell those who wait whether all has arrived; without effect the second time."""
        if self._own:
            self._held.shared = self._waited_for
        own, self._own = self._own, {}
        if not arrived:
            self._held.forget(own)
        for place in own.values():
            place.arrived.set_result(arrived)


class Holdings:
    """Have each thing carried to the server by one, while others wait; safe across threads and event loops.

    Remembers the `keep` things used last. If a carrier fails, all who waited for it carry at once: one after the other
    they would wait through as many timeouts.
    """

    def __init__(self, *, keep: int = 65_536) -> None:
        self._keep = keep
        self.shared = False
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._losses = 0
        self._mark = uuid4().hex[:8]  # a server outlives its clients, and what it believes of their names
        self._lock = Lock()

    async def claim(self, things: Sequence[str]) -> Claim:
        """Return what the caller must carry itself, once everything that others carry is there."""
        claim = Claim(self)
        for thing, place in self._share_out(dict.fromkeys(things), claim).items():
            # Nobody waits in a circle: whoever claimed before us waits only for those who claimed before him.
            try:
                arrived = await place.arrives()
            except asyncio.CancelledError:
                claim.settle(False)
                raise
            if not arrived:
                with self._lock:
                    own = thing not in self._places
                    claim.take(thing, self._places.setdefault(thing, self._new_place(thing)), own=own)
        return claim

    def claim_apart(self, things: Sequence[str]) -> Claim:
        """Return a claim that carries everything, under names that nobody else refers to."""
        claim = Claim(self)
        with self._lock:
            self._losses += 1
            for thing in dict.fromkeys(things):
                claim.take(thing, self._new_place(thing), own=False)
        return claim

    def forget(self, places: dict[str, _Place]) -> None:
        """Forget what the server has lost, unless it has been carried there again since."""
        with self._lock:
            lost = [thing for thing, place in places.items() if self._places.get(thing) is place]
            for thing in lost:
                del self._places[thing]
            self._losses += bool(lost)

    def _new_place(self, thing: str) -> _Place:
        return _Place(f"{thing}.{self._mark}.{self._losses}" if self._losses else thing)

    def _share_out(self, things: dict[str, None], claim: Claim) -> dict[str, _Place]:
        """Claim what is nowhere; return the places of the rest."""
        others: dict[str, _Place] = {}
        with self._lock:
            for thing in things:
                if (place := self._places.get(thing)) is None:
                    self._places[thing] = self._new_place(thing)
                    claim.take(thing, self._places[thing], own=True)
                else:
                    claim.places[thing] = others[thing] = place
                self._places.move_to_end(thing)
            while len(self._places) > self._keep:
                self._places.popitem(last=False)
        return others
