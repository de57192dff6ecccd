"""Cut out what people point at: boxes in, masks out, with no policy in between."""

from collections.abc import Callable, Sequence
from time import perf_counter

from agent.outcome import masks_of
from agent.result import Instance, Result, Step
from agent.versions import Versions, segscout_version
from graphs.endings import Ending
from graphs.episode import Usage
from graphs.events import Answered, Event
from graphs.masks import MaskStore
from graphs.nodes.localize import cut_masks
from tools.errors import InputError
from tools.media import Media
from tools.segmenters.base import Box, Prompt, Segmenter


def cut_boxes(
    media: Media,
    boxes: Sequence[Box],
    segmenter: Segmenter,
    *,
    frame: int = 0,
    label: str = "",
    report: Callable[[Event], None] | None = None,
) -> Result:
    """Cut boxes of frame `frame` out of a picture, or through a clip, both ways from that frame.

    Boxes are x1, y1, x2, y2 in pixels and are cut to the frame. `report` is told every event. Raises InputError for a
    box outside the picture or a frame that is not there, SegmenterError if the segmenter fails, MediaError if a frame
    cannot be read.
    """
    if not 0 <= frame < len(media.frames):
        raise InputError(f"there is no frame {frame}.", remedy=f"The media have frames 0 to {len(media.frames) - 1}.")
    prompts = [Prompt(_within(box, media)) for box in boxes]
    start = perf_counter()
    steps: list[Step] = []

    def tell(event: Event) -> None:
        steps.append(Step(round(perf_counter() - start, 4), event))
        if report is not None:
            report(event)

    tell(Answered(False, frame, tuple(prompt.box for prompt in prompts)))
    store = MaskStore()
    scores = cut_masks(segmenter, media.frames, prompts, frame, store, tell)
    instances = tuple(
        Instance(label, prompt.box, (), (), score, masks_of(store, number))
        for number, (prompt, score) in enumerate(zip(prompts, scores, strict=True))
    )
    return Result(
        query=label,
        ending=Ending.FOUND,
        failure=None,
        keyframe=frame,
        instances=instances,
        evidence=(),
        usage=Usage(0, 0, 0, 0, 0, 0, 0, {"localize": perf_counter() - start}),
        versions=Versions(segscout_version(), "none", segmenter.name, 0),
        media=media,
        steps=tuple(steps),
    )


def _within(box: Box, media: Media) -> Box:
    """Return the part of a box that lies in the frame; InputError if there is none."""
    x1, y1, x2, y2 = box
    left, top, right, bottom = max(x1, 0.0), max(y1, 0.0), min(x2, float(media.width)), min(y2, float(media.height))
    if left >= right or top >= bottom:
        raise InputError(
            f"the box {box} lies outside {media.name}.",
            remedy=f"The picture is {media.width} pixels wide and {media.height} high.",
        )
    return left, top, right, bottom
