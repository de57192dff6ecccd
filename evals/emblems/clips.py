"""Clips of a few moving emblems with exact masks, rendered frame by frame on demand."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evals.emblems.backgrounds import COUNT, SIDE, background
from evals.emblems.sprites import Emblem, sprite
from tools.image_store import Image

FRAMES = 16
IdMap = NDArray[np.int8]
"""Which object each pixel shows, int8 (448, 448): object index, or -1 for background."""


@dataclass(frozen=True)
class Mover:
    """One emblem and its way through the clip; positions in pixels of the 448-pixel frame."""

    emblem: Emblem
    size: int
    start: tuple[float, float]
    velocity: tuple[float, float]
    angle: float
    swing: float

    def centre(self, frame: int) -> tuple[float, float]:
        """Return the centre in `frame`, bouncing off the borders so that the emblem stays in view."""
        margin = self.size * 0.46
        return (
            _bounce(self.start[0] + self.velocity[0] * frame, margin, SIDE - margin),
            _bounce(self.start[1] + self.velocity[1] * frame, margin, SIDE - margin),
        )

    def turned(self, frame: int) -> int:
        """Return the angle in `frame`, in whole degrees, a multiple of 4 so that sprites can be cached."""
        return 4 * round(float(self.angle + self.swing * np.sin(frame / 3)) / 4)


def _bounce(value: float, low: float, high: float) -> float:
    span = high - low
    folded = (value - low) % (2 * span)
    return low + (folded if folded <= span else 2 * span - folded)


@dataclass(frozen=True)
class Clip:
    """A clip of moving emblems; later movers lie on top. Acts as `Frames`: `clip[i]` is RGB uint8 (448, 448, 3)."""

    movers: tuple[Mover, ...]
    backdrop: int
    gain: float = 1.0
    frames: int = FRAMES
    _rendered: dict[int, tuple[Image, IdMap]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> Image:
        return self.render(index)[0]

    def again(self) -> "Clip":
        """Return the same clip with no frame kept: a list of many clips must not hold gigabytes of pixels."""
        return replace(self, _rendered={})

    def render(self, frame: int) -> tuple[Image, IdMap]:
        """Draw a frame: RGB uint8 (448, 448, 3) and the id map of visible pixels. The last few are kept."""
        if not 0 <= frame < self.frames:
            raise IndexError(f"frame {frame} of a clip of {self.frames}")
        if frame not in self._rendered:
            if len(self._rendered) >= 4:
                self._rendered.pop(next(iter(self._rendered)))
            self._rendered[frame] = self._draw(frame)
        return self._rendered[frame]

    def mask(self, frame: int, mover: int) -> NDArray[np.bool_]:
        """Return the exact visible mask of a mover, bool (448, 448)."""
        return np.asarray(self.render(frame)[1] == mover, np.bool_)

    def centres(self, frames: Sequence[int]) -> NDArray[np.float64]:
        """Return the centres of all movers, float64 (frames, movers, 2), x and y in pixels."""
        return np.array([[mover.centre(frame) for mover in self.movers] for frame in frames])

    def _draw(self, frame: int) -> tuple[Image, IdMap]:
        picture = _lit_background(self.backdrop, self.gain).copy()
        ids = np.full((SIDE, SIDE), -1, np.int8)
        for number, mover in enumerate(self.movers):
            paint(picture, ids, number, mover, frame)
        return picture, ids


@lru_cache(maxsize=64)
def _lit_background(number: int, gain: float) -> Image:
    lit = np.clip(background(number).astype(np.float32) * gain, 0, 255)
    return np.asarray(lit, np.uint8)


def paint(picture: Image, ids: IdMap, number: int, mover: Mover, frame: int) -> None:
    """Paint a mover onto picture and id map, in place."""
    colours, alpha = sprite(mover.emblem, mover.size, mover.turned(frame))
    x, y = (round(c - mover.size / 2) for c in mover.centre(frame))
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(mover.size, SIDE - x), min(mover.size, SIDE - y)
    window = slice(y + top, y + bottom), slice(x + left, x + right)
    part = slice(top, bottom), slice(left, right)
    coverage = alpha[part][..., None]
    below = picture[window]
    picture[window] = (below + (colours[part].astype(np.float32) - below) * coverage + 0.5).astype(np.uint8)
    ids[window][alpha[part] >= 0.5] = number


def make_clip(rng: np.random.Generator, emblems: Sequence[Emblem], frames: int = FRAMES) -> Clip:
    """Set emblems moving; the order of `emblems` is the painting order.

    At a drawn moment all are apart from each other; before and after it they may cross and hide one another.
    """
    moment = rng.uniform(0, frames - 1)
    sizes = rng.integers(15, 32, len(emblems)) * 4
    starts = _spread(rng, sizes)
    movers = []
    for emblem, size, start in zip(emblems, sizes, starts, strict=True):
        turn, speed = rng.uniform(0, 2 * np.pi), rng.uniform(2, 9)
        velocity = speed * np.cos(turn), speed * np.sin(turn)
        movers.append(
            Mover(
                emblem,
                int(size),
                (float(start[0] - velocity[0] * moment), float(start[1] - velocity[1] * moment)),
                (float(velocity[0]), float(velocity[1])),
                float(rng.uniform(-24, 24)),
                float(rng.uniform(0, 12)),
            )
        )
    return Clip(tuple(movers), int(rng.integers(COUNT)), float(rng.choice([0.8, 0.9, 1.0, 1.1])), frames)


def _spread(rng: np.random.Generator, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Draw starting centres that keep the emblems apart; the best of several draws if space is short."""
    best: NDArray[np.float64] = np.zeros((len(sizes), 2))
    best_gap = -np.inf
    for _ in range(24):
        margins = sizes[:, None] * 0.5
        starts = np.asarray(margins + rng.random((len(sizes), 2)) * (SIDE - 2 * margins), np.float64)
        gaps = np.linalg.norm(starts[:, None] - starts[None], axis=2) - 0.5 * (sizes[:, None] + sizes[None])
        gap = float(gaps[np.triu_indices(len(sizes), 1)].min()) if len(sizes) > 1 else 0.0
        if gap > best_gap:
            best, best_gap = starts, gap
        if gap > 0:
            break
    return best
