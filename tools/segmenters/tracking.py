"""Track and re-prompt: take an image segmenter through a clip when there is no trained memory.

From the keyframe forward and backward, each object's next prompt is its last box, moved by its motion and a little
enlarged. What comes back is believed only if it looks like the object: colours, size, place. Otherwise the object is
taken to be hidden: its mask is empty, its box coasts at its last speed and keeps its size, and it is looked for until
it comes back. Knows nothing of any particular segmenter.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from tools.image_store import Image
from tools.segmenters.base import Frames, Prompt, Segment
from tools.segmenters.motion import Flow
from tools.segmenters.track import Track


class ImageSegmenter(Protocol):
    """What tracking needs of a segmenter."""

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        """Segment each prompt in one picture; see `Segmenter.segment`."""
        ...


def propagate_by_tracking(
    segmenter: ImageSegmenter, frames: Frames, prompts: Sequence[Prompt], keyframe: int
) -> Iterator[tuple[int, list[Segment]]]:
    """Yield (frame index, one Segment per prompt): the keyframe, then forward to the end, then backward to 0.

    Objects are tracked independently, except that no two may claim the same mask. Holds two frames at a time.
    """
    first = frames[keyframe]
    segments = segmenter.segment(first, prompts)
    yield keyframe, segments
    tracks = [Track(first, segment) for segment in segments]
    starts = [track.copy() for track in tracks]
    image = first
    for index in range(keyframe + 1, len(frames)):
        image, before = frames[index], image
        yield index, _step(segmenter, tracks, before, image)
        if index == keyframe + 1:
            # What moved this way after the keyframe came from the other side before it.
            for start, track in zip(starts, tracks, strict=True):
                start.velocity = -track.velocity
    image = first
    for index in reversed(range(keyframe)):
        image, before = frames[index], image
        yield index, _step(segmenter, starts, before, image)


def _step(segmenter: ImageSegmenter, tracks: Sequence[Track], before: Image, image: Image) -> list[Segment]:
    """Take every track from one frame to the next; returns one segment per track."""
    flow = Flow(before, image)
    asked: list[tuple[int, Prompt]] = []
    for place, track in enumerate(tracks):
        track.predict(flow)
        asked += [(place, Prompt(box)) for box in track.candidates(image)]
    answers = segmenter.segment(image, [prompt for _, prompt in asked]) if asked else []
    offers: list[list[Segment]] = [[] for _ in tracks]
    for (place, _), answer in zip(asked, answers, strict=True):
        offers[place].append(answer)
    views = [track.best(image, offer) for track, offer in zip(tracks, offers, strict=True)]
    for place, view in enumerate(views):
        rivals = [other for other in views[:place] + views[place + 1 :] if other is not None]
        if view is not None and any(view.is_beaten_by(rival) for rival in rivals):
            views[place] = None
    return [track.accept(image, view) for track, view in zip(tracks, views, strict=True)]
