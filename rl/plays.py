"""An episode of the graph as rewards see it."""

from collections.abc import Iterator, Sequence

from graphs.actions import Malformed
from graphs.episode import EpisodeResult, Instance
from graphs.events import Event, SearchFinished, TurnSampled
from rl.rewards.base import Box, Cut, Play, PlayTurn
from rl.tasks.base import TrainingTask


def to_play(task: TrainingTask, result: EpisodeResult, events: Sequence[Event]) -> Play:
    """Show an episode as rewards see it.

    Every search that the policy asked for counts, also one that the graph answered from memory or refused; one that
    the provider failed does not. Of a task without masks, the answered boxes are shown in the units of its truth.
    """
    known: set[tuple[str, str]] = set()
    useful = 0
    for asked in dict.fromkeys((found.turn, found.tool, found.claim) for found in result.evidence):
        brought = {(e.source, e.title) for e in result.evidence if (e.turn, e.tool, e.claim) == asked}
        useful += bool(brought - known)
        known |= brought
    return Play(
        turns=tuple(_turns(result, events)),
        truth=task.truth,
        ending=result.ending.value,
        keyframe=result.keyframe,
        cut=_cut(task, result),
        searches=sum(isinstance(event, SearchFinished) and event.fate != "failed" for event in events),
        useful=useful,
        boxes=_boxes(task, result) if task.masks is None else None,
        facts={"turns": float(result.usage.turns), "malformed": float(result.usage.malformed)},
    )


def _turns(result: EpisodeResult, events: Sequence[Event]) -> Iterator[PlayTurn]:
    """Yield the turns from the policy's first on."""
    slips = {event.turn for event in events if isinstance(event, TurnSampled) and isinstance(event.action, Malformed)}
    spoken = 0
    for turn in result.conversation:
        if turn.role == "assistant":
            yield PlayTurn("policy", turn.text, malformed=spoken in slips)
            spoken += 1
        elif spoken:
            yield PlayTurn("observation", turn.text)


def _cut(task: TrainingTask, result: EpisodeResult) -> Cut | None:
    if task.masks is None or result.keyframe is None:
        return None
    found = (result.masks.get(number, result.keyframe) for number in range(len(result.instances)))
    return Cut(tuple(mask for mask in found if mask is not None), task.masks(result.keyframe))


def _boxes(task: TrainingTask, result: EpisodeResult) -> tuple[Box, ...]:
    if result.keyframe is None:
        return ()
    height, width = task.task.media[result.keyframe].shape[:2]
    x, y = task.units / width, task.units / height
    corners = (_corners(instance) for instance in result.instances)
    return tuple((left * x, top * y, right * x, bottom * y) for left, top, right, bottom in corners)


def _corners(instance: Instance) -> Box:
    """Return an answered box; of an object that is only pointed at an empty one, so that it still counts as one."""
    return instance.box or (*instance.points[0], *instance.points[0])
