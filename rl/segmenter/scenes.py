"""Compose whole scenes with several targets: what one data worker renders over and over.

A scene is a picture with an id map of visible pixels. Later figures hide earlier ones, so a target's mask is its
visible part. Scenes come from this module's own generator and, for a share, from the Emblems benchmark (fresh draws).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.emblems.clips import make_clip
from evals.emblems.sprites import COLOURS, PATTERNS, SHAPES, Emblem
from rl.segmenter.backdrops import backdrop
from rl.segmenter.camera import photograph
from rl.segmenter.figures import FIGURES
from rl.segmenter.painter import Sprite, blend, paint_figure
from rl.segmenter.textures import Rgb, TextureBank

SIDE = 320
"""Scenes are square, of this many pixels."""
MOST = 12
"""Most targets of one scene."""
FAMILIES: tuple[str, ...] = (*FIGURES, *(f"emblem:{shape}" for shape in SHAPES))
"""What a target can be; its family is an index into this."""
_LEAST_PIXELS, _LEAST_SIDE, _LEAST_SHARE = 80, 9, 0.3


@dataclass(frozen=True)
class Scene:
    """A picture and its targets.

    `picture` RGB uint8 (SIDE, SIDE, 3); `ids` uint8 (SIDE, SIDE): 0 background, k the k-th target; `boxes` int16
    (MOST, 4): x1, y1, x2, y2 of visible pixels, exclusive edges, all zero where there is no usable target k + 1;
    `families` uint8 (MOST,): index into FAMILIES.
    """

    picture: Rgb
    ids: NDArray[np.uint8]
    boxes: NDArray[np.int16]
    families: NDArray[np.uint8]


class SceneMaker:
    """Renders scenes; one per data worker."""

    def __init__(self, seed: int, *, emblem_share: float) -> None:
        self._bank = TextureBank(seed)
        self._rng = np.random.default_rng((seed, 1))
        self._emblem_share = emblem_share

    def draw(self) -> Scene:
        """Render the next scene."""
        if self._rng.random() < self._emblem_share:
            return emblem_scene(self._rng)
        return composed_scene(self._rng, self._bank)


def emblem_scene(rng: np.random.Generator) -> Scene:
    """Render an Emblems frame of 4 to 6 drawn emblems and cut a SIDE-pixel square out of it."""
    emblems = [
        Emblem(str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS))), str(rng.choice(PATTERNS)))
        for _ in range(int(rng.integers(4, 8)))
    ]
    picture, ids = make_clip(rng, emblems, 1).render(0)
    x, y = rng.integers(0, picture.shape[1] - SIDE + 1), rng.integers(0, picture.shape[0] - SIDE + 1)
    cut = (ids[y : y + SIDE, x : x + SIDE] + 1).astype(np.uint8)
    whole = np.bincount((ids + 1).ravel(), minlength=len(emblems) + 1)
    families = [FAMILIES.index(f"emblem:{emblem.shape}") for emblem in emblems]
    return _scene(np.ascontiguousarray(picture[y : y + SIDE, x : x + SIDE]), cut, families, whole[1:].tolist())


def composed_scene(rng: np.random.Generator, bank: TextureBank) -> Scene:
    """Render a scene of this module's own figures."""
    picture = backdrop(rng, bank, SIDE)
    ids = np.zeros((SIDE, SIDE), np.uint8)
    names = list(FIGURES)
    shares = np.array([FIGURES[n][1] for n in names])
    if rng.random() < 0.35:  # a scene of few kinds, so that a target stands among its like
        shares = np.where(rng.random(len(names)) < 0.25, shares, 0) + 1e-6
    shares = shares / shares.sum()
    families: list[int] = []
    areas: list[int] = []
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    for _ in range(int(rng.integers(3, MOST - 1))):
        number = int(rng.choice(len(names), p=shares))
        size = SIDE * scale * float(np.exp(rng.uniform(np.log(0.08), np.log(0.32))))
        centre = rng.uniform(0.05, 0.95, 2) * SIDE
        families.append(FAMILIES.index(names[number]))
        area = _add(rng, bank, picture, ids, names[number], size, centre, len(families))
        if rng.random() < 0.1:  # a group of the same kind that counts as one
            beside = centre + rng.normal(0, size * 0.7, 2)
            area += _add(rng, bank, picture, ids, names[number], size, beside, len(families))
        areas.append(area)
    if rng.random() < 0.2:  # background that lies in front: a fence, a branch, a pole
        _add(rng, bank, picture, ids, "simple", SIDE * 0.3, rng.uniform(0, SIDE, 2), 0)
    return _scene(photograph(rng, picture), ids, families, areas)


def _pose(rng: np.random.Generator, size: float, centre: NDArray[np.float64], *, upright: bool) -> NDArray[np.float64]:
    """Draw the affine map (2, 3) from unit coordinates to pixels; `size` is half the extent in pixels."""
    turn = rng.normal(0, 0.08) if upright and rng.random() < 0.85 else rng.uniform(0, 2 * np.pi)
    stretch = np.exp(rng.normal(0, 0.12 if upright else 0.3, 2)) * size
    stretch[0] *= rng.choice([-1, 1])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shear = np.array([[1, rng.normal(0, 0.12)], [0, 1]])
    return np.concatenate([rotation @ shear @ np.diag(stretch), centre[:, None]], axis=1)


def _add(
    rng: np.random.Generator, bank: TextureBank, picture: Rgb, ids: NDArray[np.uint8],
    name: str, size: float, centre: NDArray[np.float64], number: int,
) -> int:  # fmt: skip
    """Paint a figure of family `name` into picture and ids; return its whole area in pixels, hidden or not."""
    build, _, upright = FIGURES[name]
    column, row = (int(np.clip(v, 0, SIDE - 1)) for v in centre)
    tint = picture[row, column].astype(np.float64) + rng.normal(0, 25) if rng.random() < 0.15 else None
    sprite = paint_figure(rng, bank, build(rng), _pose(rng, size, centre, upright=upright), tint)
    if rng.random() < 0.45:
        _shadow(rng, picture, sprite)
    height, width = sprite.alpha.shape
    x1, y1 = max(0, sprite.left), max(0, sprite.top)
    x2, y2 = min(SIDE, sprite.left + width), min(SIDE, sprite.top + height)
    area = int((sprite.alpha >= 128).sum())
    if x1 >= x2 or y1 >= y2:
        return area
    part = slice(y1 - sprite.top, y2 - sprite.top), slice(x1 - sprite.left, x2 - sprite.left)
    blend(picture[y1:y2, x1:x2], sprite.rgb[part], sprite.alpha[part])
    ids[y1:y2, x1:x2][sprite.alpha[part] >= 128] = number
    return area


def _shadow(rng: np.random.Generator, picture: Rgb, sprite: Sprite) -> None:
    """Darken the ground beside or under a figure, before it is painted."""
    height, width = sprite.alpha.shape
    size = max(height, width)
    soft = np.zeros((SIDE, SIDE), np.uint8)
    dx, dy = rng.normal(0, 0.12, 2) * size
    if rng.random() < 0.5:  # contact: a flat patch at the feet
        axes = (max(1, int(width * rng.uniform(0.35, 0.6))), max(1, int(height * rng.uniform(0.04, 0.15))))
        foot = (int(sprite.left + width / 2 + dx), int(sprite.top + height * 0.96))
        cv2.ellipse(soft, foot, axes, 0, 0, 360, 255, -1)
    else:
        matrix = np.array([[1, rng.normal(0, 0.3), sprite.left + dx], [0, rng.uniform(0.6, 1.05), sprite.top + dy]])
        soft = cv2.warpAffine(sprite.alpha, matrix, (SIDE, SIDE))
    x, y, w, h = cv2.boundingRect(soft)
    reach = max(1, int(size * rng.uniform(0.02, 0.12))) | 1
    x1, y1, x2, y2 = max(0, x - reach), max(0, y - reach), min(SIDE, x + w + reach), min(SIDE, y + h + reach)
    if not w or x1 >= x2 or y1 >= y2:
        return
    roi = slice(y1, y2), slice(x1, x2)
    dark = cv2.blur(soft[roi], (reach, reach)).astype(np.float32) * np.float32(rng.uniform(0.2, 0.75) / 255)
    picture[roi] = (picture[roi] * (1 - dark[..., None])).astype(np.uint8)


def _scene(picture: Rgb, ids: NDArray[np.uint8], families: list[int], areas: list[int]) -> Scene:
    """Find each target's visible box; leave out what is too small or too hidden to ask for."""
    boxes = np.zeros((MOST, 4), np.int16)
    kinds = np.zeros(MOST, np.uint8)
    visible = np.bincount(ids.ravel(), minlength=MOST + 1)
    for k, (family, area) in enumerate(zip(families, areas, strict=True)):
        kinds[k] = family
        if visible[k + 1] < max(_LEAST_PIXELS, _LEAST_SHARE * area):
            continue
        x, y, w, h = cv2.boundingRect((ids == k + 1).view(np.uint8))
        if min(w, h) >= _LEAST_SIDE and max(w, h) < 0.9 * SIDE:
            boxes[k] = x, y, x + w, y + h
    return Scene(picture, ids, boxes, kinds)
