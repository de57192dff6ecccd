"""Outlines in unit coordinates: x right, y down, roughly within -1..1; filled even-odd, so that holes are contours."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Contour = NDArray[np.float64]
"""Closed polygon, float64 (points, 2)."""
Shape = list[Contour]
Draw = Callable[[np.random.Generator], Shape]


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 40) -> Contour:
    """Return an ellipse around (x, y)."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def rounded(x1: float, y1: float, x2: float, y2: float, power: float = 6.0) -> Contour:
    """Return a superellipse that fills a box: power 2 is an ellipse, 20 nearly a rectangle."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.sign(cos) * np.abs(cos) ** (2 / power)
    y = np.sign(sin) * np.abs(sin) ** (2 / power)
    return np.stack([(x1 + x2) / 2 + x * (x2 - x1) / 2, (y1 + y2) / 2 + y * (y2 - y1) / 2], axis=1)


def polygon(*points: tuple[float, float]) -> Contour:
    """Return a polygon through the given points."""
    return np.array(points, dtype=np.float64)


def capsule(start: tuple[float, float], end: tuple[float, float], r0: float, r1: float) -> Contour:
    """Return a limb: a thick line from `start` (radius r0) to `end` (radius r1) with round ends."""
    direction = np.arctan2(end[1] - start[1], end[0] - start[0])
    near = np.linspace(direction + np.pi / 2, direction + 1.5 * np.pi, 9)
    far = np.linspace(direction - np.pi / 2, direction + np.pi / 2, 9)
    a = np.array(start) + r0 * np.stack([np.cos(near), np.sin(near)], axis=1)
    b = np.array(end) + r1 * np.stack([np.cos(far), np.sin(far)], axis=1)
    return np.concatenate([a, b])


def radial(radii: NDArray[np.float64]) -> Contour:
    """Return the outline at the given radii, evenly spaced around the origin."""
    turn = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) - np.pi / 2
    outline: Contour = radii[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return outline


def fourier_blob(rng: np.random.Generator) -> Shape:
    """Draw a smooth closed blob, from potato to amoeba."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radii = np.ones_like(turn)
    rough = rng.uniform(0.1, 0.5)
    for k in range(1, 8):
        radii += rough * rng.normal() / k * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    radii = np.clip(radii, 0.15, 2)
    return [radial(radii / radii.max())]


def jagged(rng: np.random.Generator) -> Shape:
    """Draw a polygon of 3 to 9 corners, convex or not."""
    count = int(rng.integers(3, 10))
    turn = np.sort(rng.uniform(0, 2 * np.pi, count))
    radii = rng.uniform(rng.uniform(0.2, 0.9), 1, count)
    return [np.stack([radii * np.cos(turn), radii * np.sin(turn)], axis=1)]


def star(rng: np.random.Generator) -> Shape:
    """Draw a star or a gear of 3 to 12 points."""
    corners, inner = int(rng.integers(3, 13)), rng.uniform(0.3, 0.85)
    return [radial(np.where(np.arange(corners * 2) % 2 == 0, 1.0, inner))]


def regular(rng: np.random.Generator) -> Shape:
    """Draw a regular polygon of 3 to 8 corners."""
    return [radial(np.ones(int(rng.integers(3, 9))))]


def disc(rng: np.random.Generator) -> Shape:
    """Draw a disc, an ellipse or a rounded box."""
    return [rounded(-1, -rng.uniform(0.4, 1), 1, rng.uniform(0.4, 1), float(rng.choice([2.0, 2.0, 4.0, 8.0, 20.0])))]


def ring(rng: np.random.Generator) -> Shape:
    """Draw a disc or polygon with a hole in it."""
    outer = (disc, disc, regular, fourier_blob)[int(rng.integers(4))](rng)[0]
    return [outer, outer * rng.uniform(0.3, 0.8) + rng.normal(0, 0.04, 2)]


def crescent(rng: np.random.Generator) -> Shape:
    """Draw a moon: a disc less another disc, as one outline."""
    half, bulge = rng.uniform(1.0, 1.5), rng.uniform(0.15, 0.8)
    outer = np.linspace(half - np.pi, np.pi - half, 40) + np.pi
    tip_x, tip_y = np.cos(outer[0]), abs(np.sin(outer[0]))
    inner = np.linspace(1, -1, 30)
    depth = tip_x - bulge * (1 + tip_x) * (1 - inner**2)
    outline = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    sign = np.sign(outline[-1, 1])
    return [np.concatenate([outline, np.stack([depth, sign * inner * tip_y], axis=1)])]


def cross(rng: np.random.Generator) -> Shape:
    """Draw a plus sign with arms of one width."""
    arm, length = rng.uniform(0.12, 0.45), rng.uniform(0.7, 1.0)
    quarter = [(arm, -length), (arm, -arm), (1.0, -arm), (1.0, arm), (arm, arm), (arm, length)]
    return [np.array(quarter + [(-x, -y) for x, y in quarter])]


def heart(rng: np.random.Generator) -> Shape:
    """Draw a heart."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    lobes = rng.uniform(4, 6)
    y = 13 * np.cos(turn) - lobes * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
    return [np.stack([16 * np.sin(turn) ** 3 / 17, -(y + 2.5) / 17], axis=1)]


def drop(rng: np.random.Generator) -> Shape:
    """Draw a drop: round below, pointed above."""
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    sharp = rng.uniform(1, 3)
    return [np.stack([np.sin(turn) * np.sin(turn / 2) ** sharp * rng.uniform(0.6, 1.0), -np.cos(turn)], axis=1)]


def letter(rng: np.random.Generator) -> Shape:
    """Draw an L, U or T of thick bars as one outline."""
    bar = rng.uniform(0.15, 0.6)
    kind = int(rng.integers(3))
    if kind == 0:
        return [polygon((-1, -1), (-1 + bar, -1), (-1 + bar, 1 - bar), (1, 1 - bar), (1, 1), (-1, 1))]
    if kind == 1:
        inner = 1 - bar
        return [polygon((-1, -1), (-inner, -1), (-inner, inner), (inner, inner), (inner, -1), (1, -1), (1, 1), (-1, 1))]
    half = bar / 2
    left = [(-half, 1), (-half, bar - 1), (-1, bar - 1), (-1, -1)]
    return [polygon(*left, *((-x, y) for x, y in reversed(left)))]


def stroke(rng: np.random.Generator) -> Shape:
    """Draw a thin curved band: a worm, cable or ribbon."""
    t = np.linspace(0, 1, 30)
    x, bend = 2 * t - 1, rng.normal(0, 0.5, 3)
    y = bend[0] * np.sin(np.pi * t) + bend[1] * np.sin(2 * np.pi * t) + bend[2] * np.sin(3 * np.pi * t)
    width = rng.uniform(0.05, 0.2) * (1 + rng.uniform(-0.6, 0.6) * x)
    return [np.concatenate([np.stack([x, y - width], axis=1), np.stack([x, y + width], axis=1)[::-1]])]


SIMPLE: dict[str, Draw] = {
    "blob": fourier_blob,
    "jagged": jagged,
    "star": star,
    "regular": regular,
    "disc": disc,
    "ring": ring,
    "crescent": crescent,
    "cross": cross,
    "heart": heart,
    "drop": drop,
    "letter": letter,
    "stroke": stroke,
}
