"""What lies behind the figures: textured ground and sky, patches, lines, facades, twigs; none of it is a target."""

import cv2
import numpy as np

from rl.segmenter.painter import Alpha, blend
from rl.segmenter.shapes import SIMPLE
from rl.segmenter.textures import Rgb, TextureBank, colourise, random_colour, random_ramp


def _stuff(rng: np.random.Generator, bank: TextureBank, height: int, width: int, *, pattern: float) -> Rgb:
    """Paint a rectangle of one random stuff, RGB (height, width, 3)."""
    grey = bank.pattern(rng, height, width) if rng.random() < pattern else bank.noise(rng, height, width)
    contrast = float(rng.choice([2.0, 8.0, 18.0, 35.0, 60.0]))
    return colourise(grey, random_ramp(rng, random_colour(rng), contrast))


def _patches(rng: np.random.Generator, bank: TextureBank, picture: Rgb, count: int) -> None:
    side = picture.shape[0]
    names = ("blob", "jagged", "disc", "letter", "stroke")
    for _ in range(count):
        size = side * float(np.exp(rng.uniform(np.log(0.08), np.log(0.7))))
        shape = SIMPLE[names[int(rng.integers(5))]](rng)
        stretch = np.exp(rng.normal(0, 0.4, 2)) * size
        alpha: Alpha = np.zeros((side, side), np.uint8)
        points = [np.round((c * stretch + rng.uniform(0, side, 2)) * 16).astype(np.int32) for c in shape]
        cv2.fillPoly(alpha, points, 255, lineType=cv2.LINE_AA, shift=4)
        x, y, w, h = cv2.boundingRect(alpha)
        if w and h:
            roi = slice(y, y + h), slice(x, x + w)
            blend(picture[roi], _stuff(rng, bank, h, w, pattern=0.25), alpha[roi])


def _lines(rng: np.random.Generator, picture: Rgb, count: int) -> None:
    side = picture.shape[0]
    for _ in range(count):
        start = rng.uniform(-0.2, 1.2, 2) * side
        if rng.random() < 0.5:  # poles, edges of walls, kerbs
            steep = rng.random() < 0.6
            end = start + ((rng.normal(0, 2), side * 1.5) if steep else (side * 1.5, rng.normal(0, 20)))
        else:
            end = rng.uniform(-0.2, 1.2, 2) * side
        colour = [int(v) for v in random_colour(rng)]
        ends = [(int(p[0]), int(p[1])) for p in (start, end)]
        cv2.line(picture, ends[0], ends[1], colour, int(rng.choice([1, 1, 2, 3, 6, 12])), cv2.LINE_AA)


def _twigs(rng: np.random.Generator, picture: Rgb) -> None:
    """Scribble branches, railings or wires: many thin lines of about one colour over a region."""
    side = picture.shape[0]
    corner, size = rng.uniform(-0.2, 0.8, 2) * side, rng.uniform(0.2, 0.9, 2) * side
    colour = random_colour(rng)
    railing, turn = rng.random() < 0.4, rng.uniform(0, np.pi)
    for number in range(int(rng.integers(10, 60))):
        start = corner + rng.random(2) * size
        angle = np.pi / 2 if railing else turn + rng.normal(0, 0.8)
        if railing:
            start = corner + np.array([number * rng.uniform(4.9, 5.1), 0.0])
        end = start + np.array([np.cos(angle), np.sin(angle)]) * size.max() * (
            0.4 if railing else rng.uniform(0.05, 0.5)
        )
        shade = [int(v) for v in np.clip(colour + rng.normal(0, 12), 0, 255)]
        ends = [(int(p[0]), int(p[1])) for p in (start, end)]
        cv2.line(picture, ends[0], ends[1], shade, int(rng.choice([1, 1, 1, 2, 3])), cv2.LINE_AA)


def _street(rng: np.random.Generator, bank: TextureBank, side: int) -> Rgb:
    """Paint sky, a row of facades and trees, and a road with kerbs in perspective."""
    horizon = int(side * rng.uniform(0.1, 0.6))
    picture = _stuff(rng, bank, side, side, pattern=0.05)
    x = 0
    while x < side:
        width = int(rng.uniform(0.08, 0.5) * side)
        top = max(0, horizon - int(side * rng.uniform(0, 0.6)))
        bottom = min(side, horizon + int(side * rng.uniform(0, 0.15)))
        stop = min(side, x + width)
        if bottom > top and rng.random() < 0.85:
            picture[top:bottom, x:stop] = _stuff(rng, bank, bottom - top, stop - x, pattern=0.5)
        x += width
    ground = colourise(bank.noise(rng, side - horizon, side), random_ramp(rng, np.full(3, rng.uniform(40, 180)), 8))
    picture[horizon:] = np.where(rng.random() < 0.8, ground, picture[horizon:])
    vanish = np.array([rng.uniform(0, side), horizon])
    for _ in range(int(rng.integers(0, 6))):
        foot = rng.uniform(-0.5, 1.5) * side
        wide = rng.uniform(2, 60)
        wedge = np.array([vanish, (foot, side), (foot + wide, side)])
        colour = [int(v) for v in np.clip(rng.uniform(30, 230) + rng.normal(0, 8, 3), 0, 255)]
        cv2.fillPoly(picture, [np.round(wedge * 16).astype(np.int32)], colour, lineType=cv2.LINE_AA, shift=4)
    return picture


def _muted(rng: np.random.Generator, side: int) -> Rgb:
    """Paint a dull ground of three octaves of smooth noise."""
    picture = np.full((side, side, 3), rng.uniform(60, 190), np.float32) + rng.uniform(-14, 14, 3).astype(np.float32)
    for cells, strength in ((3, 22.0), (7, 14.0), (30, 9.0)):
        coarse = rng.normal(0, strength, (cells, cells, 1)) + rng.normal(0, 4, (cells, cells, 3))
        picture += cv2.resize(coarse.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def backdrop(rng: np.random.Generator, bank: TextureBank, side: int) -> Rgb:
    """Paint a background, RGB uint8 (side, side, 3)."""
    kind = rng.random()
    if kind < 0.1:
        picture = _muted(rng, side)
    elif kind < 0.5:
        picture = _street(rng, bank, side)
    else:
        picture = _stuff(rng, bank, side, side, pattern=0.25)
    if rng.random() < 0.7:
        _patches(rng, bank, picture, int(rng.integers(0, 9)))
    if rng.random() < 0.5:
        _lines(rng, picture, int(rng.integers(0, 8)))
    if rng.random() < 0.25:
        _twigs(rng, picture)
    if rng.random() < 0.25:  # out of focus
        sigma = float(rng.uniform(0.5, 4))
        picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    return picture
