"""Seg-Zero's reward: five yes-or-no parts for one object, a box and two points in pixels of the 840 x 840 picture.

Source: arXiv 2503.06520 and its reward function; the strict answer format, which the authors use, is the default.
"""

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rl.rewards.base import Box, ObjectTruth, Play, Point
from rl.rewards.geometry import box_distance, inside, pixel_iou, read_box, read_point
from rl.rewards.think_answer import has_thinking_form

_MIN_IOU = 0.5
_MAX_BOX_DISTANCE = 10.0
_MAX_POINT_DISTANCE = 100.0
_PLACE = ("iou", "box_l1", "point_l1")


class SegZero:
    """Score one reply, 0 to 5; `strict` asks for exactly the keys bbox, points_1 and points_2.

    A truth without a second point is taken to have the first one twice. Several true objects: the first counts.
    """

    name = "seg-zero"
    source = "Seg-Zero (arXiv 2503.06520)"
    weights: Mapping[str, float] = MappingProxyType(dict.fromkeys(("thinking_format", "answer_format", *_PLACE), 1.0))

    def __init__(self, *, strict: bool = True) -> None:
        self._strict = strict

    def components(self, play: Play) -> dict[str, float]:
        """Return the five parts, each 0 or 1."""
        reply = "".join(play.spoken)
        answer = _first_object(reply)
        formatted = answer is not None and (_is_strict(answer) if self._strict else _is_soft(answer))
        scores = {"thinking_format": float(has_thinking_form(reply)), "answer_format": float(formatted)}
        scores |= dict.fromkeys(_PLACE, 0.0)
        truth = play.answered_on
        if answer is not None and truth is not None and truth.objects:
            scores |= _place_scores(answer, truth.objects[0])
        return scores


def _place_scores(answer: Mapping[str, object], truth: ObjectTruth) -> dict[str, float]:
    box, points = _box(answer), _points(answer)
    if box is None:
        return {}
    scores = {
        "iou": float(pixel_iou(box, truth.box, touching=False) > _MIN_IOU),
        "box_l1": float(box_distance(box, truth.box) < _MAX_BOX_DISTANCE),
    }
    if len(points) == 2 and all(inside(point, box) for point in points):
        true = (truth.point, truth.second or truth.point)
        scores["point_l1"] = float(_pair_distance(points, true) < _MAX_POINT_DISTANCE)
    return scores


def _pair_distance(points: Sequence[Point], true: tuple[Point, Point]) -> float:
    """Return the mean distance of two points from two true ones, in the order that is nearer."""
    orders = (true, (true[1], true[0]))
    return min(sum(math.dist(a, b) for a, b in zip(points, order, strict=True)) / 2 for order in orders)


def _first_object(reply: str) -> dict[str, object] | None:
    """Return the first brace up to the first that closes, read as strict JSON; None if it is no object."""
    _, opened, rest = reply.partition("{")
    body, closed, _ = rest.partition("}")
    try:
        value = json.loads(f"{opened}{body}{closed}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_strict(answer: Mapping[str, object]) -> bool:
    lengths = {"bbox": 4, "points_1": 2, "points_2": 2}
    return set(answer) == set(lengths) and all(_has_length(answer[key], n) for key, n in lengths.items())


def _is_soft(answer: Mapping[str, object]) -> bool:
    boxes = [value for key, value in answer.items() if "bbox" in key and _has_length(value, 4)]
    points = [value for key, value in answer.items() if "point" in key and _has_length(value, 2)]
    return len(boxes) >= 1 and len(points) >= 2


def _has_length(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _box(answer: Mapping[str, object]) -> Box | None:
    return next((box for key, value in answer.items() if "bbox" in key and (box := read_box(value))), None)


def _points(answer: Mapping[str, object]) -> list[Point]:
    return [point for key, value in answer.items() if "point" in key and (point := read_point(value))][:2]
