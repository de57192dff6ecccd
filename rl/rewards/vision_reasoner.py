"""VisionReasoner's reward: form, no repetition, and several objects matched to the true ones by the Hungarian method.

Boxes and points are in pixels of the 840 x 840 picture. As published, the answer's form is worth up to 2 (the paper
says 1), and only boxes are ever worth anything: there is no "absent". Source: arXiv 2505.12081 and its reward function.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rl.rewards.base import ObjectTruth, Play
from rl.rewards.geometry import read_box, read_point
from rl.rewards.matching import best_pairs
from rl.rewards.think_answer import first_answer_body, has_thinking_form

_MIN_IOU = 0.5
_MAX_BOX_DISTANCE = 10.0
_MAX_POINT_DISTANCE = 30.0
_MAX_OBJECTS = 120
_PARTS = ("thinking_format", "answer_format", "non_repeat", "accuracy")

Numbers = NDArray[np.float64]


class VisionReasoner:
    """Score one reply, 0 to 7: thinking 1, answer's form 2, no repetition 1, accuracy 3."""

    name = "vision-reasoner"
    source = "VisionReasoner (arXiv 2505.12081)"
    weights: Mapping[str, float] = MappingProxyType(dict.fromkeys(_PARTS, 1.0))

    def components(self, play: Play) -> dict[str, float]:
        """Return the four parts; accuracy is 0 if a single item of the answer cannot be read."""
        reply = "".join(play.spoken)
        items = _read_items(reply)
        truth = play.answered_on
        return {
            "thinking_format": float(has_thinking_form(reply)),
            "answer_format": _answer_format(items),
            "non_repeat": non_repeat(reply),
            "accuracy": _accuracy(items, truth.objects if truth else ()),
        }


def non_repeat(reply: str) -> float:
    """Return 0 if two or more sentences repeat an earlier one, else 1; sentences end at periods."""
    sentences = [sentence for piece in reply.split(".") if (sentence := piece.strip())]
    return float(len(sentences) - len(set(sentences)) < 2)


def _read_items(reply: str) -> list[dict[str, object]]:
    """Return the objects of the first answer, which must be a JSON list of them; no item if any is something else."""
    try:
        items = json.loads(first_answer_body(reply) or "")
    except (ValueError, RecursionError):
        return []
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else []


def _answer_format(items: Sequence[Mapping[str, object]]) -> float:
    """Return how complete the items are, 0 to 2: a list of four for the box, a list of two for the point."""
    lengths = {"bbox_2d": 4, "point_2d": 2}
    fitting = [
        isinstance(value := item.get(key), list) and len(value) == length
        for item in items
        for key, length in lengths.items()
    ]
    return sum(fitting) / len(items) if items else 0.0


def _accuracy(items: Sequence[Mapping[str, object]], objects: Sequence[ObjectTruth]) -> float:
    """Return the matched sum of IoU, box and point hits over the larger count, 0 to 3."""
    items, objects = items[:_MAX_OBJECTS], objects[:_MAX_OBJECTS]
    boxes = [read_box(item.get("bbox_2d")) for item in items]
    points = [read_point(item.get("point_2d")) for item in items]
    if not items or not objects or None in boxes or None in points:
        return 0.0
    hits = _hits(
        np.array(boxes, np.float64),
        np.array(points, np.float64),
        np.array([one.box for one in objects], np.float64),
        np.array([one.point for one in objects], np.float64),
    )
    return float(sum(hits[pair] for pair in best_pairs(hits)) / max(hits.shape))


def _hits(boxes: Numbers, points: Numbers, true_boxes: Numbers, true_points: Numbers) -> Numbers:
    """Return 0 to 3 for every pair, shape (answered, true): IoU, box and point each count 1."""
    overlap = _pixel_ious(boxes, true_boxes) > _MIN_IOU
    near_box = np.abs(boxes[:, None] - true_boxes[None]).mean(-1) < _MAX_BOX_DISTANCE
    near_point = np.linalg.norm(points[:, None] - true_points[None], axis=-1) < _MAX_POINT_DISTANCE
    own = np.all((boxes[:, :2] <= points) & (points <= boxes[:, 2:]), axis=-1)
    hits: Numbers = overlap.astype(np.float64) + near_box + (near_point & own[:, None])
    return hits


def _pixel_ious(ones: Numbers, others: Numbers) -> Numbers:
    """Return all IoUs, shape (ones, others), of boxes whose last row and column belong to them."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    both = np.maximum(high - low + 1, 0).prod(-1)
    either = _pixels(ones)[:, None] + _pixels(others)[None] - both
    ious: Numbers = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return ious


def _pixels(boxes: Numbers) -> Numbers:
    sizes: Numbers = (boxes[:, 2:] - boxes[:, :2] + 1).prod(-1)
    return sizes
