"""Numbers that policies write, made into boxes and points: 0..scale in the text, 0..1 in actions."""

import math
from collections.abc import Iterable, Sequence

from graphs.actions import Box, Point


def read_numbers(value: object) -> list[float]:
    """Flatten nested lists to finite numbers; numbers in quotes count, all else is dropped."""
    numbers: list[float] = []
    for item in flatten([value]):
        if isinstance(item, bool) or not isinstance(item, int | float | str):
            continue
        try:
            number = float(item)
        except (ValueError, OverflowError):
            continue
        if math.isfinite(number):
            numbers.append(number)
    return numbers


def flatten(values: Iterable[object]) -> list[object]:
    """Return what nested lists hold, in order."""
    flat: list[object] = []
    stack = list(values)[::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item[::-1])
        else:
            flat.append(item)
    return flat


def _unit(value: float, scale: float) -> float:
    return min(max(value, 0.0), scale) / scale


def read_box(raw: Sequence[float], scale: float) -> Box | None:
    """Scale to 0..1, clamp to the frame and put the corners in order; None if nothing is left."""
    x1, x2 = sorted((_unit(raw[0], scale), _unit(raw[2], scale)))
    y1, y2 = sorted((_unit(raw[1], scale), _unit(raw[3], scale)))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def read_points(raw: Sequence[float], scale: float) -> tuple[Point, ...]:
    """Pair the numbers up and scale them to 0..1; a list of odd length says nothing certain and is dropped."""
    if len(raw) % 2:
        return ()
    return tuple((_unit(raw[i], scale), _unit(raw[i + 1], scale)) for i in range(0, len(raw), 2))
