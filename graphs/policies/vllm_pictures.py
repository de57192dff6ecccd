"""What a server holds: of all who need a thing there, one carries it and the others wait."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock


class _Place:
    """Where a thing is, on its way or there."""

    def __init__(self) -> None:
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
    """Names of things that must all be on the server, those among them to `carry`, and where each is.

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

    @property
    def _waited_for(self) -> bool:
        return any(place.wanted for place in self._own.values())

    def take(self, name: str, place: _Place, *, own: bool) -> None:
        """Carry a thing; `own` if others wait for it at this place."""
        self.carry.append(name)
        self.places[name] = place
        if own:
            self._own[name] = place

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
        self._lock = Lock()

    async def claim(self, names: Sequence[str]) -> Claim:
        """Return what the caller must carry itself, once everything that others carry is there."""
        claim = Claim(self)
        for name, place in self._share_out(dict.fromkeys(names), claim).items():
            # Nobody waits in a circle: whoever claimed before us waits only for those who claimed before him.
            try:
                arrived = await place.arrives()
            except asyncio.CancelledError:
                claim.settle(False)
                raise
            if not arrived:
                with self._lock:
                    own = name not in self._places
                    claim.take(name, self._places.setdefault(name, _Place()), own=own)
        return claim

    def claim_apart(self, things: Sequence[str]) -> Claim:
        """Return a claim that carries everything itself, whatever is there, and for which nobody waits."""
        claim = Claim(self)
        for thing in dict.fromkeys(things):
            claim.take(thing, _Place(), own=False)
        return claim

    def forget(self, places: dict[str, _Place]) -> None:
        """Forget what the server has lost, unless it has been carried there again since."""
        with self._lock:
            for name, place in places.items():
                if self._places.get(name) is place:
                    del self._places[name]

    def _share_out(self, names: dict[str, None], claim: Claim) -> dict[str, _Place]:
        """Claim what is nowhere; return the places of the rest."""
        others: dict[str, _Place] = {}
        with self._lock:
            for name in names:
                if (place := self._places.get(name)) is None:
                    self._places[name] = _Place()
                    claim.take(name, self._places[name], own=True)
                else:
                    claim.places[name] = others[name] = place
                self._places.move_to_end(name)
            while len(self._places) > self._keep:
                self._places.popitem(last=False)
        return others
