"""localize: map the answer to prompts in original pixels, cut the masks, and close the episode."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal

from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.actions import Answer, Target
from graphs.context import Context, emit
from graphs.endings import Ending
from graphs.events import Answered, MasksCut
from graphs.keyframes import choose_keyframe
from graphs.masks import MaskStore
from graphs.nodes.reading import as_plain, last_text, understand
from graphs.nodes.timing import timed
from graphs.state import PlainInstance, State
from tools.errors import MediaError, SegmenterError, SegscoutError, boundary
from tools.segmenters.base import Frames, Prompt, Segmenter


@timed
async def localize(state: State, runtime: Runtime[Context]) -> Command[Literal["__end__"]]:
    """Close the episode: under the ending that is due, as absent, or as found with boxes, points and masks."""
    context = runtime.context
    if state.get("ending"):
        return Command(goto="__end__", update={})
    answer, text = _answer(state, context)
    if answer.absent:
        emit(runtime, Answered(True, None, ()))
        return Command(goto="__end__", update={"ending": Ending.ABSENT.value})
    update: dict[str, Any] = {"ending": Ending.FOUND.value}
    try:
        keyframe = keyframe_of(answer, text, state, context)
        with boundary(MediaError, f"cannot read frame {keyframe}", remedy="Check that the video is complete."):
            height, width = context.media[keyframe].shape[:2]
        prompts = [to_prompt(target, width=width, height=height) for target in answer.targets]
        hits = sum(len(found["hits"]) for found in state.get("searches", []))
        instances = [_instance(t, p, hits) for t, p in zip(answer.targets, prompts, strict=True)]
        update |= {"keyframe": keyframe, "instances": instances}
        emit(runtime, Answered(False, keyframe, tuple(prompt.box for prompt in prompts)))
        if context.segmenter is not None:
            scores = await _cut(context.segmenter, prompts, keyframe, runtime)
            for instance, score in zip(instances, scores, strict=True):
                instance["score"] = score
            if context.journal is not None:
                update["masks"] = context.masks.to_plain()
    except SegscoutError as error:
        broken = Ending.MEDIA_BROKEN if isinstance(error, MediaError) else Ending.SEGMENTER_BROKEN
        update |= {"ending": broken.value, "failure": as_plain(error)}
    return Command(goto="__end__", update=update)


def to_prompt(target: Target, *, width: int, height: int) -> Prompt:
    """Scale a target from 0..1 to pixels of a picture of this size; a box keeps at least one pixel each way."""
    box = None
    if target.box is not None:
        x1, y1, x2, y2 = target.box
        left, top = min(x1 * width, width - 1.0), min(y1 * height, height - 1.0)
        box = (left, top, max(x2 * width, left + 1.0), max(y2 * height, top + 1.0))
    points = tuple((min(x * width, width - 1.0), min(y * height, height - 1.0)) for x, y in target.points)
    return Prompt(box, points, target.labels)


def _answer(state: State, context: Context) -> tuple[Answer, str]:
    """Return the answer that counts and the turn that gave it: the one that a person chose, else the last."""
    text, chosen = last_text(state), state.get("chosen")
    if chosen == 0:
        return Answer(()), text
    if chosen:
        text = state["candidates"][chosen - 1]["text"]
    answer = understand(text, cut=False, state=state, context=context)
    assert isinstance(answer, Answer)
    return answer, text


def keyframe_of(answer: Answer, text: str, state: State, context: Context) -> int:
    """Return the frame that an answer speaks of; `text` is the turn that gave it, in place of the last one."""
    said = [
        "".join(str(part.get("text", "")) for part in turn["parts"])
        for turn in state["turns"][:-1]
        if turn["role"] == "assistant"
    ] + [text]
    looked, shown = state.get("looked", []), state.get("shown", [])
    return choose_keyframe(answer, looked=looked, shown=shown, said=said, count=len(context.media))


def _instance(target: Target, prompt: Prompt, hits: int) -> PlainInstance:
    """Return an answered object; of the `hits` in all it cites those that exist."""
    return {
        "label": target.label,
        "box": list(prompt.box or ()),
        "points": [list(point) for point in prompt.points],
        "labels": list(prompt.labels),
        "score": 0.0,
        "evidence": [number - 1 for number in target.evidence if 1 <= number <= hits],
    }


async def _cut(
    segmenter: Segmenter, prompts: Sequence[Prompt], keyframe: int, runtime: Runtime[Context]
) -> list[float]:
    """Run the segmenter in one worker thread, start to end; events are sent from the event loop's thread.

    Returns the score of each prompt at the keyframe. A cancelled episode stops the thread at its next frame.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def report(event: MasksCut) -> None:
        loop.call_soon_threadsafe(emit, runtime, event)

    try:
        context = runtime.context
        return await asyncio.to_thread(
            cut_masks, segmenter, context.media, prompts, keyframe, context.masks, report, stop
        )
    finally:
        stop.set()


def cut_masks(
    segmenter: Segmenter,
    media: Frames,
    prompts: Sequence[Prompt],
    keyframe: int,
    masks: MaskStore,
    report: Callable[[MasksCut], None],
    stop: threading.Event | None = None,
) -> list[float]:
    """Cut every prompt of frame `keyframe` out of all frames into the mask store; return the scores at the keyframe.

    Raises SegmenterError if the segmenter fails, MediaError if a frame cannot be read.
    """
    total = len(media)
    scores = [0.0] * len(prompts)
    with boundary(SegmenterError, f"{segmenter.name} failed", remedy="Try another --segmenter, or smaller media."):
        if total == 1:
            frames = iter([(0, segmenter.segment(media[0], prompts))])
        else:
            frames = segmenter.propagate(media, prompts, keyframe)
        for done, (frame, segments) in enumerate(frames, 1):
            if stop is not None and stop.is_set():
                break
            masks.put(frame, [segment.mask for segment in segments])
            if frame == keyframe:
                scores = [float(segment.score) for segment in segments]
            report(MasksCut(frame, done, total))
    return scores
