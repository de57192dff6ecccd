"""The segmenter in the loop of a reward: the answered frame only, and many episodes' frames at once."""

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol, cast

from tools.errors import SegmenterError, SegscoutError, boundary
from tools.image_store import Image
from tools.segmenters.base import Frames, Prompt, Segment, Segmenter


class ManySegmenter(Protocol):
    """A segmenter that cuts out of many pictures in one go."""

    def segment_many(self, pairs: Sequence[tuple[Image, Prompt]]) -> list[Segment]:
        """Segment one prompt in each picture."""
        ...


_Request = tuple[Image, Sequence[Prompt], "Future[list[Segment]]"]


class KeyframeSegmenter:
    """A segmenter that stays on the keyframe: rewards look at that frame alone, so the rest need not be cut.

    Threads that ask while the segmenter is busy are served together as soon as it is free, if it can do many at once.
    """

    def __init__(self, inner: Segmenter) -> None:
        self._inner = inner
        self._many = cast(ManySegmenter, inner) if hasattr(inner, "segment_many") else None
        self._waiting: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._busy = threading.Lock()
        self.name = inner.name

    @property
    def waiting(self) -> int:
        """How many requests wait for the segmenter."""
        return self._waiting.qsize()

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment as the inner one does."""
        if self._many is None:
            return self._inner.segment(image, prompts)
        reply: Future[list[Segment]] = Future()
        self._waiting.put((image, prompts, reply))
        with self._busy:
            if not reply.done():  # nobody took it along while this thread waited
                self._serve(self._many)
        return reply.result()

    def propagate(
        self, frames: Frames, prompts: Sequence[Prompt], keyframe: int
    ) -> Iterator[tuple[int, list[Segment]]]:
        """Yield the keyframe only."""
        yield keyframe, self.segment(frames[keyframe], prompts)

    def _serve(self, many: ManySegmenter) -> None:
        """Serve everyone who waits; what fails for one fails for all of them."""
        requests: list[_Request] = []
        while not self._waiting.empty():
            requests.append(self._waiting.get())
        pairs = [(image, prompt) for image, prompts, _ in requests for prompt in prompts]
        try:
            with boundary(SegmenterError, f"{self.name} failed", remedy="Try another segmenter."):
                found = iter(many.segment_many(pairs))
                answers = [[next(found) for _ in prompts] for _, prompts, _ in requests]
        except SegscoutError as error:
            for _, _, reply in requests:
                reply.set_exception(error)
            return
        for (_, _, reply), answer in zip(requests, answers, strict=True):
            reply.set_result(answer)
