"""Several answers to one question, sorted by what they point at: how a tie between candidates is told.

A tie is defined by the policy's own behaviour. From the last thing that was looked up (else from the task) it comes to
its answer some times more, with a closer look at the first answer's frame; answers agree if their boxes in that frame
cover each other. If enough agree with one another on something else than the first answer, a person is asked. Several
boxes in one answer are several objects, not a tie; an answer in another frame has no vote. It costs the turns of those
answers: their tokens and seconds are counted, but not as turns. What it cannot see is a policy that is sure of the
wrong thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from graphs.events import Choice, Question
from graphs.state import PlainCandidate, State
from tools.segmenters.base import Box

_POINT_SIDE = 0.1
"""An object answered by a point alone counts as a box of this share of the frame around it."""


@dataclass(frozen=True, kw_only=True)
class Clarify:
    """When to ask: `samples` further answers at `temperature`; those whose boxes have an IoU of `iou` agree.

    A person is asked if `rivals` of them agree with one another and not with the first.
    """

    samples: int = 4
    temperature: float = 1.0
    iou: float = 0.5
    rivals: int = 2


@dataclass(frozen=True)
class Placed:
    """What an answer points at: boxes in shares of the frame; without a frame it is absent."""

    text: str
    frame: int | None
    boxes: tuple[Box, ...]


def around(x: float, y: float) -> Box:
    """Return the box that stands for a point, in shares of the frame."""
    half = _POINT_SIDE / 2
    return x - half, y - half, x + half, y + half


def sort_answers(answers: Sequence[Placed], iou: float) -> list[tuple[Placed, int]]:
    """Return the first of each group of answers that agree, with the group's size, in the order of their coming."""
    groups: list[tuple[Placed, int]] = []
    for answer in answers:
        for place, (first, votes) in enumerate(groups):
            if agree(first, answer, iou):
                groups[place] = (first, votes + 1)
                break
        else:
            groups.append((answer, 1))
    return groups


def agree(one: Placed, other: Placed, iou: float) -> bool:
    """Tell whether two answers point at the same: each box of one at a box of its own of the other."""
    if one.frame != other.frame or len(one.boxes) != len(other.boxes):
        return False
    left = list(other.boxes)
    for box in one.boxes:
        best = max(left, key=lambda candidate: overlap(box, candidate))
        if overlap(box, best) < iou:
            return False
        left.remove(best)
    return True


def overlap(one: Box, other: Box) -> float:
    """Return the IoU of two boxes in the same units, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / both if both > 0 else 0.0


def question_of(state: State) -> Question:
    """Return the question that a thread waits with."""
    candidates = state["candidates"]
    choices = tuple(_choice(number, candidate) for number, candidate in enumerate(candidates, 1))
    return Question(state["query"], choices, sum(candidate["votes"] for candidate in candidates))


def _choice(number: int, plain: PlainCandidate) -> Choice:
    frame = plain["frame"] if plain["frame"] >= 0 else None
    boxes = tuple((box[0], box[1], box[2], box[3]) if box else None for box in plain["boxes"])
    return Choice(number, frame, boxes, ", ".join(label for label in plain["labels"] if label), plain["votes"])
