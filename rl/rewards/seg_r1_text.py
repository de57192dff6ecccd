"""Read a Seg-R1 reply as its reward does: boxes, points and labels, all whole numbers without a sign.

Linear in the length of the reply (the published expressions take exponential time on lists cut short), and nothing is
evaluated. Separators are JSON's. Source: https://github.com/geshang777/Seg-R1.
"""

import json
import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[\s\d,\[\]]*")


@dataclass(frozen=True)
class Prompts:
    """What a reply asks of the segmenter, in pixels of the square picture; labels are 1 inside, 0 outside."""

    boxes: tuple[tuple[int, ...], ...] = ()
    points: tuple[tuple[int, ...], ...] = ()
    labels: tuple[int, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether there are a box, points and labels; an answer with less earns nothing."""
        return bool(self.boxes and self.points and self.labels)


def read_prompts(reply: str) -> Prompts:
    """Return all boxes and the first readable points and labels; both are dropped unless they are equally many."""
    boxes = tuple(box for body in _bodies(reply, "bbox") if len(box := _whole_numbers(_read(body))) == 4)
    points = next((found for body in _bodies(reply, "points") if (found := _pairs(_read(body)))), ())
    labels = next((marks for body in _bodies(reply, "labels") if (marks := _whole_numbers(_read(body)))), ())
    return Prompts(boxes, points, labels) if len(points) == len(labels) else Prompts(boxes)


def has_thought(reply: str) -> bool:
    """Return whether a think tag opens and closes; it may be empty and stand anywhere."""
    _, opened, rest = reply.partition("<think>")
    return bool(opened) and "</think>" in rest


def _bodies(reply: str, tag: str) -> list[str]:
    """Return what stands between each closing tag and the last opening one before it."""
    before = reply.split(f"</{tag}>")[:-1]
    return [piece.rpartition(f"<{tag}>")[2] for piece in before if f"<{tag}>" in piece]


def _read(body: str) -> object:
    if not _PLAIN.fullmatch(body):
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _whole_numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    numbers = tuple(one for one in value if isinstance(one, int))
    return numbers if len(numbers) == len(value) else ()


def _pairs(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list):
        return ()
    pairs = tuple(pair for one in value if len(pair := _whole_numbers(one)) == 2)
    return pairs if len(pairs) == len(value) else ()
