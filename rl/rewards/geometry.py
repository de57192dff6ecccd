"""Boxes and points as the published rewards measure them: in the policy's own units, edges counted as pixels."""

from rl.rewards.base import Box, Point

_LARGEST = 1e100
"""No coordinate is larger, and the areas of boxes up to it are finite."""


def read_numbers(value: object, count: int) -> tuple[float, ...] | None:
    """Return a JSON list of exactly `count` numbers as floats; None for anything else, strings included."""
    if not isinstance(value, list) or len(value) != count:
        return None
    if not all(isinstance(one, int | float) for one in value):
        return None
    try:
        numbers = tuple(float(one) for one in value)
    except OverflowError:  # a policy may write a whole number of four hundred digits
        return None
    return numbers if all(abs(one) <= _LARGEST for one in numbers) else None


def read_box(value: object) -> Box | None:
    """Return a JSON list of four numbers as a box, in the order in which it was written; None for anything else."""
    numbers = read_numbers(value, 4)
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if numbers else None


def read_point(value: object) -> Point | None:
    """Return a JSON list of two numbers as a point; None for anything else."""
    numbers = read_numbers(value, 2)
    return (numbers[0], numbers[1]) if numbers else None


def pixel_iou(one: Box, other: Box, *, touching: bool = True) -> float:
    """Return the IoU of two boxes (x1, y1, x2, y2) whose last row and column belong to them, 0 to 1.

    With `touching` False, boxes that share no more than one row or column do not overlap (Seg-Zero, Seg-ReSearch).
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if min(width, height) <= (-1 if touching else 0):
        return 0.0
    both = (width + 1) * (height + 1)
    either = _pixels(one) + _pixels(other) - both
    return both / either if either > 0 else 0.0


def box_distance(one: Box, other: Box) -> float:
    """Return the mean absolute difference of the four coordinates."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 4


def inside(point: Point, box: Box) -> bool:
    """Return whether a point lies in a box, its edges included; never in a box whose corners are in the wrong order."""
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _pixels(box: Box) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
