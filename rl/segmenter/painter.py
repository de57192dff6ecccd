"""Turn a figure into pixels: materials, shading that follows the form, soft edges; its coverage is the mask."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rl.segmenter.parts import Figure
from rl.segmenter.shapes import Contour
from rl.segmenter.textures import Ramp, Rgb, TextureBank, colourise, random_colour, random_ramp

Alpha = NDArray[np.uint8]
"""Coverage, uint8 (height, width), 255 inside."""
_SHIFT = 4

ROLES: dict[str, tuple[tuple[float, float, float], float]] = {
    "dark": ((32, 32, 34), 10),
    "glass": ((70, 80, 90), 34),
    "metal": ((150, 152, 155), 28),
    "light": ((225, 222, 210), 14),
    "skin": ((190, 145, 118), 30),
}
"""Role → mean RGB and how far a material of that role strays from it."""


@dataclass(frozen=True)
class Sprite:
    """A painted figure: RGB uint8 (h, w, 3), coverage uint8 (h, w), and the scene pixel of its top left corner."""

    rgb: Rgb
    alpha: Alpha
    left: int
    top: int


def _role_colour(rng: np.random.Generator, role: str) -> NDArray[np.float64]:
    if role == "vivid":
        return rng.permutation([rng.uniform(150, 255), rng.uniform(0, 120), rng.uniform(0, 255)])
    if role in ROLES and rng.random() < 0.8:
        mean, spread = ROLES[role]
        return np.clip(np.array(mean) + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 0, 255)
    return random_colour(rng)


def _material(rng: np.random.Generator, bank: TextureBank, ramp: Ramp, height: int, width: int) -> Rgb:
    kind = rng.random()
    if kind < 0.35:  # plain, with a little grain
        return np.ascontiguousarray(np.broadcast_to(ramp[128, 0], (height, width, 3)))
    grey = bank.pattern(rng, height, width) if kind > 0.82 else bank.noise(rng, height, width)
    return colourise(grey, ramp)


def _bounds(parts: Figure) -> tuple[int, int, int, int]:
    every = np.concatenate([c for part in parts for c in part.shape])
    x1, y1 = np.floor(every.min(axis=0)).astype(int) - 2
    x2, y2 = np.ceil(every.max(axis=0)).astype(int) + 3
    return int(x1), int(y1), int(x2), int(y2)


def _fill(alpha: Alpha, shape: list[Contour], offset: tuple[int, int]) -> None:
    scaled = [np.round((c - offset) * (1 << _SHIFT)).astype(np.int32) for c in shape]
    cv2.fillPoly(alpha, scaled, 255, lineType=cv2.LINE_AA, shift=_SHIFT)


def blend(below: Rgb, above: Rgb, alpha: Alpha) -> None:
    """Lay `above` over `below`, in place; all of one size, alpha 0..255."""
    weight = alpha.astype(np.uint16)[..., None]
    mixed = above.astype(np.uint16) * weight + below.astype(np.uint16) * (255 - weight)
    below[...] = ((mixed + 127) // 255).astype(np.uint8)


def _shade(rng: np.random.Generator, rgb: Rgb, alpha: Alpha) -> Rgb:
    """Light the figure from a side, with a round rim and sometimes a highlight."""
    height, width = alpha.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    turn, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    gain = 1 + np.float32(strength * np.cos(turn)) * x + np.float32(strength * np.sin(turn)) * y
    if rng.random() < 0.5:
        reach = max(3, int(min(height, width) * rng.uniform(0.05, 0.3))) | 1
        soft = cv2.blur(alpha, (reach, reach)).astype(np.float32) / 255
        away = int(np.sin(turn) * reach / 2), int(np.cos(turn) * reach / 2)
        lit = np.roll(soft, away[0], 0) + np.roll(soft, away[1], 1) - 2 * soft
        gain = gain + np.float32(rng.uniform(0.2, 0.9)) * lit - np.float32(rng.uniform(0, 0.5)) * (1 - soft)
    shaded = rgb * gain[..., None]
    if rng.random() < 0.2:
        cx, cy, size = rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), rng.uniform(0.05, 0.35)
        spot = rng.uniform(30, 160) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / size**2)
        shaded += spot[..., None].astype(np.float32)
    return np.clip(shaded, 0, 255).astype(np.uint8)


def paint_figure(
    rng: np.random.Generator,
    bank: TextureBank,
    figure: Figure,
    to_pixels: NDArray[np.float64],
    tint: NDArray[np.float64] | None,
) -> Sprite:
    """Paint a figure.

    Args:
        rng: source of all randomness.
        bank: textures.
        figure: parts in unit coordinates.
        to_pixels: affine map (2, 3) from unit coordinates to scene pixels.
        tint: RGB that the materials start from (to hide the figure in its surroundings), or None for any colour.
    """
    placed = [replace(p, shape=[c @ to_pixels[:, :2].T + to_pixels[:, 2] for c in p.shape]) for p in figure]
    left, top, right, bottom = _bounds([p for p in placed if not p.inside])
    height, width = bottom - top, right - left
    rgb = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    contrast = float(rng.choice([4.0, 12.0, 25.0, 45.0]))
    looks: dict[int, Rgb] = {}
    for part in placed:
        if part.look not in looks:
            base = _role_colour(rng, part.role) if tint is None else np.clip(tint + rng.normal(0, 14, 3), 0, 255)
            looks[part.look] = _material(rng, bank, random_ramp(rng, base, contrast), height, width)
        layer = np.zeros_like(alpha)
        _fill(layer, part.shape, (left, top))
        if part.inside:
            layer = np.minimum(layer, alpha)
        x1, y1, x2, y2 = _clip(_bounds([part]), left, top, width, height)
        if x1 >= x2 or y1 >= y2:
            continue
        roi = slice(y1, y2), slice(x1, x2)
        if part.inside:
            blend(rgb[roi], looks[part.look][roi], layer[roi])
        else:
            # Colours reach under the soft edge, so that coverage alone decides how the border mixes with the scene.
            solid = np.where(alpha[roi] == 0, np.where(layer[roi] > 0, 255, 0), layer[roi]).astype(np.uint8)
            blend(rgb[roi], looks[part.look][roi], solid)
            np.maximum(alpha, layer, out=alpha)
    return Sprite(_shade(rng, rgb, alpha), alpha, left, top)


def _clip(bounds: tuple[int, int, int, int], left: int, top: int, width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = bounds
    return max(0, x1 - left), max(0, y1 - top), min(width, x2 - left), min(height, y2 - top)
