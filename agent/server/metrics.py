"""What operators watch, in Prometheus' text format; a few counters need no library."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper ends of the latency buckets, in seconds."""

Gauges = Mapping[str, tuple[str, Callable[[], float]]]
"""Values that are read when they are asked for, each by its name, with its help."""


class Metrics:
    """Count requests by route and status, and episodes by ending with their seconds.

    Only ever called from the event loop's thread.
    """

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._endings: Counter[str] = Counter()
        self._in_bucket: Counter[float] = Counter()
        self._seconds = 0.0
        self.in_flight = 0
        """Requests that have come and are not answered to their end."""

    def request(self, route: str, status: int) -> None:
        """Count an answered request; `route` is the pattern that matched it."""
        self._requests[route, status] += 1

    def episode(self, ending: str, seconds: float) -> None:
        """Count an episode: its ending, the boundary at which it broke, or "cancelled"."""
        self._endings[ending] += 1
        self._seconds += seconds
        self._in_bucket.update(bucket for bucket in _BUCKETS if seconds <= bucket)

    def render(self, gauges: Gauges) -> str:
        """Return all as text, and `gauges` after what was counted."""
        return "".join(f"{line}\n" for line in self._lines(gauges))

    def _lines(self, gauges: Gauges) -> Iterator[str]:
        yield from _head("segscout_requests_total", "counter", "Requests answered, by route and status.")
        for (route, status), count in sorted(self._requests.items()):
            yield f'segscout_requests_total{{route="{route}",status="{status}"}} {count}'
        yield from _head("segscout_episodes_total", "counter", "Episodes, by how they ended.")
        for ending, count in sorted(self._endings.items()):
            yield f'segscout_episodes_total{{ending="{ending}"}} {count}'
        total = self._endings.total()
        yield from _head("segscout_episode_seconds", "histogram", "Seconds of an episode, its files included.")
        for bucket in _BUCKETS:
            yield f'segscout_episode_seconds_bucket{{le="{bucket:g}"}} {self._in_bucket[bucket]}'
        yield f'segscout_episode_seconds_bucket{{le="+Inf"}} {total}'
        yield f"segscout_episode_seconds_sum {self._seconds:.6f}"
        yield f"segscout_episode_seconds_count {total}"
        for name, (about, read) in gauges.items():
            yield from _head(name, "gauge", about)
            yield f"{name} {read():g}"


class RequestCounter:
    """ASGI middleware: count every request by the pattern that it matched, never by what it asked for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count it once it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        self._metrics.in_flight += 1
        try:
            await self._app(scope, receive, watched)
        finally:
            self._metrics.in_flight -= 1
            self._metrics.request(getattr(scope.get("route"), "path", "none"), status)


def _head(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"
