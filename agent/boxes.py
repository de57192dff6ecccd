"""Cut out what people point at: boxes in, masks out, with no policy in between."""

from collections.abc import Callable, Sequence
from time import perf_counter

from agent.result import Instance, Masks, Result, Step
from agent.versions import Versions, segscout_version
from graphs.endings import Ending
from graphs.episode import Usage
from graphs.events import Answered, Event, MasksCut
from graphs.masks import RLE, encode_rle
from tools.errors import InputError, SegmenterError, boundary
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
    rles, scores = _cut(media, prompts, segmenter, frame, tell)
    instances = tuple(
        Instance(label, prompt.box, (), (), score, Masks(found))
        for prompt, found, score in zip(prompts, rles, scores, strict=True)
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


def _cut(
    media: Media, prompts: Sequence[Prompt], segmenter: Segmenter, keyframe: int, tell: Callable[[Event], None]
) -> tuple[list[dict[int, RLE]], list[float]]:
    """Return for each prompt its masks by frame, and its score at the keyframe."""
    total = len(media.frames)
    rles: list[dict[int, RLE]] = [{} for _ in prompts]
    scores = [0.0] * len(prompts)
    with boundary(SegmenterError, f"{segmenter.name} failed", remedy="Try another --segmenter, or smaller media."):
        if total == 1:
            frames = iter([(0, segmenter.segment(media.frames[0], prompts))])
        else:
            frames = segmenter.propagate(media.frames, prompts, keyframe)
        for done, (frame, segments) in enumerate(frames, 1):
            for found, segment in zip(rles, segments, strict=True):
                found[frame] = encode_rle(segment.mask)
            if frame == keyframe:
                scores = [float(segment.score) for segment in segments]
            tell(MasksCut(frame, done, total))
    return rles, scores


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
