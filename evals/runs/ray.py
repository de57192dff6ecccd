"""Work on Ray: a worker process each with models of its own, on this machine or on a cluster.

Workers are plain actors, and one that dies is replaced by a new one, wherever there is room. Ray's own ways to do
things again do not fit (seen with 2.60): a restarting actor uses up its `max_task_retries` while it is away, and
Ray Data either repeats without end what kills its worker, or drops it and may wait for ever for a dead one.
"""

import importlib
import os
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from evals.runs.ray_workers import TRIES, Place, Worker, play_all
from evals.runs.work import PlainRow, Work
from tools.errors import EvaluationError, InputError, boundary

_STORE_BYTES = 128 * 1024**2
"""Shared memory of a Ray of our own: rows are small, and unasked it would take a third of the machine's memory."""

_KNOCK_SECONDS = 10.0


@dataclass(frozen=True)
class RayEngine:
    """Do work in `workers` processes, `concurrency` items at once in each, with one core and `gpus_per_worker`.

    `address` joins the Ray that runs there ("auto": on this machine); None starts one here and ends it after the run.
    Raises InputError for numbers that make no sense, and if Ray is not installed.
    """

    workers: int = 2
    concurrency: int = 1
    address: str | None = None
    gpus_per_worker: float = 0.0
    name: str = "ray"

    def __post_init__(self) -> None:
        if self.workers < 1 or self.concurrency < 1:
            asked = f"{self.workers} workers with {self.concurrency} items at once"
            raise InputError(f"{asked} do nothing.", remedy="Choose 1 or more of both.")
        gpus = self.gpus_per_worker
        if not gpus >= 0 or (gpus > 1 and gpus != round(gpus)):
            raise InputError(f"a worker cannot have {gpus:g} GPUs.", remedy="Choose a share of one, or whole ones.")
        _import_ray()

    async def run(self, work: Work, items: Sequence[int]) -> AsyncGenerator[PlainRow]:
        """Yield rows as they come; an item that ended every worker in three tries is the row of a failure.

        What was under way when a worker died is tried again after all else, alone on its worker: then it is clear
        which item kills. Raises what the work raises; EvaluationError if workers die while they open it; InputError if
        there is no Ray at the address, or no machine there with so many GPUs.
        """
        if not items:
            return  # nothing to start workers for
        with self._connected() as ray:
            self._check_gpus(ray)
            actor = ray.remote(num_cpus=1, num_gpus=self.gpus_per_worker, scheduling_strategy="SPREAD")(Worker)
            sent = ray.put(work)  # once, however many workers there are and die
            places = [Place(actor.remote, sent) for _ in range(min(self.workers, len(items)))]
            left = list(items)
            try:
                for concurrency in (self.concurrency, *[1] * (TRIES - 1)):
                    tried, left = left, []
                    async with aclosing(play_all(places, tried, concurrency)) as outcomes:
                        async for item, row in outcomes:
                            if row is None:
                                left.append(item)
                            else:
                                yield row
            finally:
                for place in places:
                    place.leave()
            for item in left:
                remedy = "Give workers more memory, or see what happens to it with --engine local."
                yield work.failed(item, EvaluationError(f"item {item} ended {TRIES} workers.", remedy=remedy))

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yield Ray, connected; a connection that is there already is used as it is, and stays."""
        ray = _import_ray()
        if ray.is_initialized():
            yield ray
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody need know that, and what, is computed here
        own = {"num_cpus": self.workers, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        remedy = "Check the address, Ray's token (RAY_AUTH_MODE=token), and the versions of Ray and Python there."
        try:
            with boundary(InputError, f"there is no Ray to be had at {self.address or 'this machine'}", remedy=remedy):
                _knock(self.address)
                where = {"address": self.address} if self.address else {"address": "local", **own}
                ray.init(log_to_driver=False, logging_level="ERROR", **where)
            yield ray
        finally:
            ray.shutdown()

    def _check_gpus(self, ray: Any) -> None:
        most = max((node["Resources"].get("GPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
        if self.gpus_per_worker > most:  # Ray would wait for such a machine, and say nothing
            raise InputError(
                f"no machine has {self.gpus_per_worker:g} GPUs for a worker; the most that one has is {most:g}.",
                remedy="Ask for fewer with --gpus-per-worker, or add such a machine first.",
            )


def _knock(address: str | None) -> None:
    """Raise OSError if nothing listens at a host:port; Ray itself would try for two minutes."""
    host, _, port = (address or "").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as missing:
        raise InputError("Ray is not installed.", remedy="pip install --editable '.[ray]'") from missing
