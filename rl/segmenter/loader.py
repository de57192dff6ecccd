"""Render scenes in worker processes and hand them to the training loop without ever making it wait."""

import logging
import queue
import threading
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from rl.segmenter.pool import SceneBatch, ScenePool
from rl.segmenter.scenes import Scene, SceneMaker

log = logging.getLogger(__name__)
CHUNK = 16
"""Scenes that travel together."""


def stack(scenes: list[Scene]) -> SceneBatch:
    """Stack scenes into tensors."""
    return SceneBatch(
        torch.from_numpy(np.stack([s.picture for s in scenes])),
        torch.from_numpy(np.stack([s.ids for s in scenes])),
        torch.from_numpy(np.stack([s.boxes for s in scenes])),
        torch.from_numpy(np.stack([s.families for s in scenes])),
    )


def render(seed: int, count: int, *, emblem_share: float) -> SceneBatch:
    """Render a fixed set of scenes in this process: held-out sets and tests."""
    maker = SceneMaker(seed, emblem_share=emblem_share)
    return stack([maker.draw() for _ in range(count)])


class SceneStream(IterableDataset[SceneBatch]):
    """Endless chunks of scenes; each worker draws its own."""

    def __init__(self, seed: int, *, emblem_share: float) -> None:
        self._seed = seed
        self._emblem_share = emblem_share

    def __iter__(self) -> Iterator[SceneBatch]:
        """Render forever."""
        cv2.setNumThreads(1)
        info = get_worker_info()
        seed = self._seed * 1000 + (info.id if info else 0)
        maker = SceneMaker(seed, emblem_share=self._emblem_share)
        while True:
            yield stack([maker.draw() for _ in range(CHUNK)])


class Feeder:
    """Moves rendered chunks from the workers into a pool, as they come."""

    def __init__(self, stream: SceneStream, workers: int) -> None:
        loader: DataLoader[SceneBatch] = DataLoader(
            stream, batch_size=None, num_workers=workers, prefetch_factor=2 if workers else None
        )
        self._chunks = iter(loader)  # forks the workers: do this before the accelerator is touched
        self._ready: queue.Queue[SceneBatch] = queue.Queue(maxsize=64)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pull, name="scenes", daemon=True) if workers else None
        if self._thread:
            self._thread.start()

    def _pull(self) -> None:
        for shared in self._chunks:
            chunk = shared.owned(pin=torch.cuda.is_available())  # a queue of shared memory would use up file handles
            while not self._stop.is_set():
                try:
                    self._ready.put(chunk, timeout=0.5)
                    break
                except queue.Full:
                    continue
            if self._stop.is_set():
                return

    def fill(self, pool: ScenePool, least: int) -> None:
        """Wait until the pool has seen at least `least` scenes. Raises RuntimeError if the workers have died."""
        while pool.rendered < least:
            if self._thread is None:
                pool.add(next(self._chunks))
                continue
            try:
                pool.add(self._ready.get(timeout=5))
            except queue.Empty:
                if not self._thread.is_alive():
                    raise RuntimeError("the workers that render scenes have stopped") from None
                log.info("waiting for scenes: %d of %d", pool.rendered, least)
        pool.refresh()

    def top_up(self, pool: ScenePool) -> None:
        """Add whatever is ready, without waiting; without workers that is nothing."""
        added = False
        while not self._ready.empty():
            pool.add(self._ready.get())
            added = True
        if added:
            pool.refresh()

    def close(self) -> None:
        """Stop the workers."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=10)
        del self._chunks
