"""Grey textures and colour ramps: what backgrounds and the parts of figures are painted with.

A `TextureBank` draws its tiles once per process; after that a texture is a random piece of a tile, turned and scaled,
put through a colour ramp. No photograph is involved anywhere.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
"""Texture values, uint8 (height, width)."""
Rgb = NDArray[np.uint8]
"""RGB picture, uint8 (height, width, 3)."""
Colour = NDArray[np.float64]
"""RGB, float64 (3,) in 0..255."""
Ramp = NDArray[np.uint8]
"""Colour of each grey value, uint8 (256, 1, 3)."""

TILE = 512


def _noise(rng: np.random.Generator, slope: float, stretch: float = 1.0) -> NDArray[np.float64]:
    """Draw noise whose amplitude falls as frequency ** -slope, float64 (TILE, TILE); `stretch` makes it a grain."""
    fy = np.fft.fftfreq(TILE)[:, None] * stretch
    fx = np.fft.rfftfreq(TILE)[None, :]
    spectrum = np.fft.rfft2(rng.normal(size=(TILE, TILE)))
    return np.fft.irfft2(spectrum / (np.hypot(fy, fx) + 1.5 / TILE) ** slope, s=(TILE, TILE))


def _to_grey(values: NDArray[np.float64]) -> Grey:
    """Stretch values to 0..255 by their 1st and 99th percentile."""
    low, high = np.percentile(values[::4, ::4], (1, 99))
    scaled: Grey = np.clip((values - low) * (255.0 / (high - low + 1e-9)), 0, 255).astype(np.uint8)
    return scaled


def _pattern(rng: np.random.Generator, kind: str) -> Grey:
    """Draw a regular pattern tile: stripes, checks, dots, bricks or the windows of a facade."""
    y, x = np.mgrid[0:TILE, 0:TILE].astype(np.float64)
    period = float(np.exp(rng.uniform(np.log(8), np.log(64))))
    if kind == "waves":
        values = np.sin(2 * np.pi * x / period)
    elif kind == "stripes":
        values = ((x % period) < period * rng.uniform(0.2, 0.7)).astype(np.float64)
    elif kind == "checks":
        values = ((x // period + y // period) % 2).astype(np.float64)
    elif kind == "dots":
        radius = period * rng.uniform(0.2, 0.42)
        odd = (y // period) % 2 * period / 2 * rng.integers(2)
        values = (np.hypot((x + odd) % period - period / 2, y % period - period / 2) < radius).astype(np.float64)
    elif kind == "bricks":
        shift = (y // (period / 2)) % 2 * period / 2
        joint = max(1.0, period * 0.06)
        values = (((x + shift) % period > joint) & (y % (period / 2) > joint)).astype(np.float64)
        values *= _cells(rng, y // (period / 2), (x + shift) // period, 0.4)
    else:
        wide, high = period * rng.uniform(0.3, 0.75), period * rng.uniform(0.3, 0.75)
        values = ((x % period < wide) & (y % period < high)).astype(np.float64)
        values *= _cells(rng, y // period, x // period, 0.6)
    noise = _to_grey(_noise(rng, rng.uniform(0.8, 1.8))) / 255.0
    return _to_grey(values + rng.choice([0.0, 0.1, 0.5]) * noise)


def _cells(
    rng: np.random.Generator, row: NDArray[np.float64], column: NDArray[np.float64], spread: float
) -> NDArray[np.float64]:
    """Give each cell of a grid, by its row and column number, its own brightness from 1 - spread to 1."""
    dimmed: NDArray[np.float64] = 1 - spread * rng.random((64, 64))[row.astype(int) % 64, column.astype(int) % 64]
    return dimmed


class TextureBank:
    """Tiles to cut textures from; building one takes about a second."""

    def __init__(self, seed: int, *, noises: int = 20, patterns: int = 18) -> None:
        rng = np.random.default_rng(seed)
        self.noises = [_to_grey(_noise(rng, float(rng.uniform(0.4, 2.4)))) for _ in range(noises)]
        for _ in range(noises // 3):  # grain: wood, brushed metal, cloth
            grain = _noise(rng, float(rng.uniform(0.8, 2.0)), stretch=float(rng.uniform(0.05, 0.3)))
            self.noises.append(_to_grey(grain))
        for _ in range(noises // 3):  # leaves and gravel: noise cut into flat patches
            cut = _noise(rng, float(rng.uniform(0.9, 1.5)))
            patches = np.tanh(cut / cut.std() * rng.uniform(1, 4))
            self.noises.append(_to_grey(patches + 0.2 * rng.normal(size=cut.shape)))
        kinds = ("waves", "stripes", "checks", "dots", "bricks", "facade")
        self.patterns = [_pattern(rng, kinds[i % len(kinds)]) for i in range(patterns)]

    def noise(self, rng: np.random.Generator, height: int, width: int) -> Grey:
        """Cut a piece of noise, uint8 (height, width)."""
        return _piece(rng, self.noises[int(rng.integers(len(self.noises)))], height, width, free=True)

    def pattern(self, rng: np.random.Generator, height: int, width: int) -> Grey:
        """Cut a piece of a regular pattern, uint8 (height, width), upright as often as not."""
        free = bool(rng.random() < 0.5)
        return _piece(rng, self.patterns[int(rng.integers(len(self.patterns)))], height, width, free=free)


def _piece(rng: np.random.Generator, tile: Grey, height: int, width: int, *, free: bool) -> Grey:
    scale = float(np.exp(rng.uniform(np.log(0.35), np.log(1.8))))
    turn = rng.uniform(0, 2 * np.pi) if free else 0.0
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cos, -sin, rng.uniform(0, TILE)], [sin, cos, rng.uniform(0, TILE)]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    piece: Grey = cv2.warpAffine(tile, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return piece


def random_colour(rng: np.random.Generator) -> Colour:
    """Draw an RGB colour, float64 (3,) in 0..255: mostly the dull ones of things, sometimes a vivid one."""
    kind = rng.random()
    if kind < 0.45:  # grey, from black to white, with a slight cast
        return _valid(245 * rng.random() ** 1.4 + 8 + rng.normal(0, 8, 3))
    if kind < 0.75:  # earth, foliage, skin, sky
        base = np.array([(120, 90, 60), (70, 95, 45), (205, 160, 130), (140, 175, 215), (95, 60, 45)])[rng.integers(5)]
        return _valid(base * rng.uniform(0.4, 1.3) + rng.normal(0, 15, 3))
    return _valid(rng.uniform(0, 255, 3))


def _valid(colour: Colour) -> Colour:
    return np.asarray(np.clip(colour, 0, 255), dtype=np.float64)


def random_ramp(rng: np.random.Generator, base: NDArray[np.float64], contrast: float) -> Ramp:
    """Build a ramp of two to four colours around `base`, RGB in 0..255; `contrast` is their spread in grey levels."""
    count = int(rng.integers(2, 5))
    light = rng.normal(0, contrast, (count, 1))
    colours = np.clip(base + light + rng.normal(0, 0.35 * contrast, (count, 3)), 0, 255)
    stops = np.sort(rng.uniform(0, 255, count))
    ramp = np.stack([np.interp(np.arange(256), stops, colours[:, c]) for c in range(3)], axis=1)
    return ramp.round().astype(np.uint8)[:, None, :]


def colourise(grey: Grey, ramp: Ramp) -> Rgb:
    """Map grey values (height, width) to RGB (height, width, 3) by a ramp."""
    painted: Rgb = cv2.applyColorMap(grey, ramp)
    return painted
