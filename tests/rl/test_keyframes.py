"""The segmenter in a reward's loop: one frame, the same masks, served together, and failures reach everyone."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rl.keyframes import KeyframeSegmenter
from tools.errors import SegmenterError
from tools.segmenters.base import Prompt, Segment


class Held:
    """Cuts the box; its first call lasts until it is released."""

    name = "held"

    def __init__(self, broken: bool = False) -> None:
        self.calls, self.broken, self.lock, self.released = [], broken, threading.Lock(), threading.Event()

    def segment(self, image, prompts):
        return self.segment_many([(image, prompt) for prompt in prompts])

    def segment_many(self, pairs):
        assert self.lock.acquire(blocking=False), "one call at a time"
        self.calls.append(len(pairs))
        assert self.released.wait(20)
        self.lock.release()
        if self.broken:
            raise SegmenterError("it broke.", remedy="None.")
        segments = []
        for image, prompt in pairs:
            mask = np.zeros(image.shape[:2], dtype=bool)
            x1, y1, x2, y2 = (int(v) for v in prompt.box)
            mask[y1:y2, x1:x2] = True
            segments.append(Segment(mask, float(image[0, 0, 0]) / 255))
        return segments

    def propagate(self, frames, prompts, keyframe):
        raise AssertionError("the whole clip must not be cut")


def ask(segmenter: KeyframeSegmenter, number: int) -> list[Segment]:
    image = np.full((40, 40, 3), number, np.uint8)
    left = float(number % 3)
    [(frame, segments)] = segmenter.propagate([image] * 9, [Prompt((left, 0.0, left + 5.0, float(number)))], 4)
    assert frame == 4
    return segments


def all_ask(inner: Held, what: Callable[[KeyframeSegmenter, int], Any]) -> list[Any]:
    """Sixteen threads ask; the segmenter is released when every one of them waits or is being served."""
    segmenter = KeyframeSegmenter(inner)
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(what, segmenter, number) for number in range(1, 17)]
        while not inner.calls or sum(inner.calls) + segmenter.waiting < 16:
            time.sleep(0.002)
        inner.released.set()
        return [one.result(20) for one in asked]


def test_everyone_gets_their_own_mask_in_two_calls():
    inner = Held()
    for number, segments in enumerate(all_ask(inner, ask), 1):
        [segment] = segments
        assert segment.mask.sum() == 5 * number
        assert segment.mask[0, number % 3]
        assert segment.score == number / 255
    assert len(inner.calls) <= 2
    assert sum(inner.calls) == 16


def test_a_failure_reaches_everyone_who_waited():
    def fails(segmenter: KeyframeSegmenter, number: int) -> bool:
        with pytest.raises(SegmenterError, match="it broke"):
            ask(segmenter, number)
        return True

    assert all(all_ask(Held(broken=True), fails))


def test_nothing_asked_is_nothing_answered():
    inner = Held()
    inner.released.set()
    assert KeyframeSegmenter(inner).segment(np.zeros((9, 9, 3), np.uint8), []) == []
