"""The segmenter in a reward's loop: one frame, the same masks, served together, and failures reach everyone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rl.keyframes import KeyframeSegmenter
from tools.errors import SegmenterError
from tools.segmenters.base import Prompt, Segment


class Slow:
    """Cuts the box; each call takes a while, however many pictures it is given."""

    name = "slow"

    def __init__(self, broken: bool = False) -> None:
        self.calls, self.broken, self.lock = [], broken, threading.Lock()

    def segment(self, image, prompts):
        return self.segment_many([(image, prompt) for prompt in prompts])

    def segment_many(self, pairs):
        assert self.lock.acquire(blocking=False), "one call at a time"
        time.sleep(0.05)
        self.calls.append(len(pairs))
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
    prompts = [Prompt((k, 0.0, k + 5.0, number + 1.0)) for k in range(number % 3)]
    [(frame, segments)] = segmenter.propagate([image] * 9, prompts, 4)
    assert frame == 4
    return segments


def test_everyone_gets_their_own_masks_and_few_calls_are_made():
    inner = Slow()
    segmenter = KeyframeSegmenter(inner)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: ask(segmenter, number), range(32)))
    for number, segments in enumerate(found):
        assert len(segments) == number % 3
        for k, segment in enumerate(segments):
            assert segment.mask.sum() == 5 * (number + 1)
            assert segment.mask[0, k]
            assert segment.score == number / 255
    assert len(inner.calls) < 12


def test_a_failure_reaches_everyone_who_waited():
    segmenter = KeyframeSegmenter(Slow(broken=True))

    def fails(number: int) -> bool:
        with pytest.raises(SegmenterError, match="it broke"):
            ask(segmenter, number)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fails, range(8)))
