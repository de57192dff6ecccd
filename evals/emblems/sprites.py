"""Draw one emblem: a shape in a colour with a pattern. Cached, so that clips render fast enough to train on."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

SHAPES = ("circle", "square", "triangle", "star", "ring", "crescent", "cross", "heart", "hexagon", "drop")
PATTERNS = ("plain", "striped", "dotted", "checked")
COLOURS = {
    "red": (208, 36, 40),
    "orange": (244, 132, 20),
    "yellow": (246, 218, 44),
    "green": (44, 154, 62),
    "cyan": (44, 200, 214),
    "blue": (42, 74, 204),
    "purple": (138, 48, 184),
    "white": (240, 240, 240),
}
_LIGHT = ("yellow", "cyan", "white")
_SUPERSAMPLE = 4
_CLOTH = 192


@dataclass(frozen=True, order=True)
class Emblem:
    """A shape, a colour and a pattern; what a bearer's emblem looks like."""

    shape: str
    colour: str
    pattern: str

    @property
    def phrase(self) -> str:
        """Describe the emblem in words, such as "striped red star"."""
        return f"{self.pattern} {self.colour} {self.shape}"


@lru_cache(maxsize=4096)
def sprite_alpha(shape: str, size: int, angle: int) -> NDArray[np.float32]:
    """Draw the coverage of a shape, float32 (size, size) in 0..1, turned by `angle` degrees."""
    canvas = np.zeros((size * _SUPERSAMPLE, size * _SUPERSAMPLE), np.uint8)
    for polygon, value in _polygons(shape):
        turned = _turn(polygon, angle)
        pixels = np.round((turned * 0.5 + 0.5) * size * _SUPERSAMPLE).astype(np.int32)
        cv2.fillPoly(canvas, [pixels], value)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255.0)


def sprite(emblem: Emblem, size: int, angle: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw an emblem: RGB uint8 (size, size, 3) and coverage float32 (size, size)."""
    return _cloth(emblem.colour, emblem.pattern)[:size, :size], sprite_alpha(emblem.shape, size, angle)


@lru_cache(maxsize=len(PATTERNS) * len(COLOURS))
def _cloth(colour: str, pattern: str) -> NDArray[np.uint8]:
    """Draw the cloth that emblems of a colour and pattern are cut from, uint8 (192, 192, 3)."""
    y, x = np.mgrid[0:_CLOTH, 0:_CLOTH]
    marks = {
        "plain": np.zeros((_CLOTH, _CLOTH), bool),
        "striped": ((x + y) % 20) < 7,
        "dotted": (x % 16 - 8) ** 2 + (y % 16 - 8) ** 2 < 20,
        "checked": (x // 11 + y // 11) % 2 == 0,
    }[pattern]
    second = (24, 24, 28) if colour in _LIGHT else (248, 248, 248)
    return np.where(marks[..., None], np.array(second, np.uint8), np.array(COLOURS[colour], np.uint8))


def _turn(points: NDArray[np.float64], degrees: int) -> NDArray[np.float64]:
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ rotation.T, np.float64)


def _circle(x: float, y: float, radius: float) -> NDArray[np.float64]:
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)


def _regular(corners: int, radius: float, inner: float | None = None) -> NDArray[np.float64]:
    count = corners * (2 if inner else 1)
    turn = np.arange(count) * 2 * np.pi / count - np.pi / 2
    radii = np.where(np.arange(count) % 2 == 0, radius, inner or radius)
    return np.stack([radii * np.cos(turn), radii * np.sin(turn)], axis=1)


@lru_cache(maxsize=len(SHAPES))
def _polygons(shape: str) -> tuple[tuple[NDArray[np.float64], int], ...]:
    """Outline a shape in -1..1: polygons painted in order, 255 inside, 0 for a hole."""
    if shape == "circle":
        return ((_circle(0, 0, 0.88), 255),)
    if shape == "square":
        return ((np.array([[-0.7, -0.7], [0.7, -0.7], [0.7, 0.7], [-0.7, 0.7]]), 255),)
    if shape == "triangle":
        return ((np.array([[0, -0.86], [0.84, 0.66], [-0.84, 0.66]]), 255),)
    if shape == "star":
        return ((_regular(5, 0.96, 0.42), 255),)
    if shape == "ring":
        return ((_circle(0, 0, 0.9), 255), (_circle(0, 0, 0.48), 0))
    if shape == "crescent":
        return ((_circle(0, 0, 0.9), 255), (_circle(0.42, 0, 0.68), 0))
    if shape == "cross":
        arm = 0.3
        corners = [(arm, -0.9), (arm, -arm), (0.9, -arm), (0.9, arm), (arm, arm), (arm, 0.9)]
        mirrored = [(-x, -y) for x, y in corners]
        return ((np.array(corners + mirrored), 255),)
    if shape == "heart":
        turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
        x = 16 * np.sin(turn) ** 3
        y = 13 * np.cos(turn) - 5 * np.cos(2 * turn) - 2 * np.cos(3 * turn) - np.cos(4 * turn)
        return ((np.stack([x / 18.5, -(y + 2.5) / 18.5], axis=1), 255),)
    if shape == "hexagon":
        return ((_regular(6, 0.9), 255),)
    # A drop: a circle below, drawn out to a point above.
    tip = np.array([[0, -0.94], [0.46, -0.02], [-0.46, -0.02]])
    return ((_circle(0, 0.32, 0.58), 255), (tip, 255))
