"""What figures are made of: filled shapes in unit coordinates (x right, y down, roughly within -1..1).

A figure is a list of parts, painted in order. Parts with the same look share a material; a part that is `inside` paints
only where the figure already is (a window, a stripe).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl.segmenter.shapes import Shape, capsule

Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """One filled shape of a figure; `look` numbers its material, `role` narrows the material down."""

    shape: Shape
    look: int = 0
    inside: bool = False
    role: str = "any"


Figure = list[Part]
Build = Callable[[np.random.Generator], Figure]


def knee(start: Point, angle: float, bend: float, length: float) -> tuple[Point, Point]:
    """Return the joint and the end of a limb of two halves; angles in radians from straight down."""
    joint = (start[0] + length / 2 * float(np.sin(angle)), start[1] + length / 2 * float(np.cos(angle)))
    last = angle + bend
    return joint, (joint[0] + length / 2 * float(np.sin(last)), joint[1] + length / 2 * float(np.cos(last)))


def limb(start: Point, angle: float, bend: float, length: float, radius: float) -> Shape:
    """Return the two halves of a limb that starts at `start`."""
    joint, end = knee(start, angle, bend, length)
    return [capsule(start, joint, radius, radius * 0.8), capsule(joint, end, radius * 0.8, radius * 0.6)]


def limbs(figure: Figure, shape: Shape, look: int, role: str = "any") -> None:
    """Add the pieces of a limb one by one, so that overlapping pieces do not cancel even-odd."""
    figure.extend(Part([piece], look, role=role) for piece in shape)
