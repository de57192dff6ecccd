"""What a thread has told so far: kept with each node's update, so that a node that is cut short told nothing."""

from collections.abc import Sequence
from time import perf_counter

from graphs.events import Event, as_plain_event, from_plain_event
from graphs.state import PlainTold


class Journal:
    """Note the events of the node that is running, by the episode's own clock."""

    def __init__(self, since: float) -> None:
        """Go on at `since` seconds: what the episode took before, without the pause."""
        self._start = perf_counter() - since
        self._told: list[PlainTold] = []

    def note(self, event: Event) -> None:
        """Note an event that happens now."""
        self._told.append({"at": round(perf_counter() - self._start, 4), "event": as_plain_event(event)})

    def take(self) -> list[PlainTold]:
        """Return what was noted since the last call."""
        told, self._told = self._told, []
        return told


def read_told(told: Sequence[PlainTold]) -> tuple[tuple[float, Event], ...]:
    """Return the events of a thread and their times in seconds; CheckpointError if one cannot be read."""
    return tuple((one["at"], from_plain_event(one["event"])) for one in told)
