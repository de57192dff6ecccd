"""What a camera does to a scene: uneven light, blur, lost resolution, noise, tone, JPEG."""

import cv2
import numpy as np
from numpy.typing import NDArray

from rl.segmenter.shapes import SIMPLE
from rl.segmenter.textures import Rgb


def _light(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Draw a light map (side, side, 1) around 1: a slope, a vignette, cast shadows that cross everything."""
    light = np.ones((16, 16), np.float32)
    y, x = np.mgrid[-1:1:16j, -1:1:16j].astype(np.float32)
    slope = rng.normal(0, 0.15, 2)
    vignette = np.float32(rng.choice([0, 0, 0.15, 0.3]))
    light += np.float32(slope[0]) * x + np.float32(slope[1]) * y - vignette * (x**2 + y**2) / 2
    light = cv2.resize(light, (side, side), interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.choice([0, 0, 0, 1, 2]))):
        mask = np.zeros((side, side), np.float32)
        outline = SIMPLE["jagged" if rng.random() < 0.5 else "blob"](rng)[0] * rng.uniform(0.2, 0.9) * side
        cv2.fillPoly(mask, [np.round(outline + rng.uniform(0, side, 2)).astype(np.int32)], 1.0)
        light *= 1 - np.float32(rng.uniform(0.15, 0.6)) * cv2.blur(mask, (int(rng.choice([1, 3, 9, 21])),) * 2)
    return np.asarray(light[..., None], dtype=np.float32)


def photograph(rng: np.random.Generator, picture: Rgb) -> Rgb:
    """Put a scene, RGB uint8 (side, side, 3), through a random camera; geometry does not change, so masks stay true."""
    side = picture.shape[0]
    if rng.random() < 0.6:
        picture = np.clip(picture * _light(rng, side), 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.6)))
    elif rng.random() < 0.08:
        picture = _motion(rng, picture)
    if rng.random() < 0.35:
        factor = rng.uniform(1.2, 3.0)
        small = cv2.resize(picture, (int(side / factor),) * 2, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (side, side), interpolation=int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
    if rng.random() < 0.5:
        noise = np.empty_like(picture, dtype=np.int16) if rng.random() < 0.5 else np.empty((side, side), np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, 0, float(rng.uniform(1, 14)))
        noisy = picture.astype(np.int16) + (noise if noise.ndim == 3 else noise[..., None])
        picture = np.clip(noisy, 0, 255).astype(np.uint8)
    picture = cv2.LUT(picture, _tone(rng))
    if rng.random() < 0.5:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))])[1]
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)
    return picture


def _tone(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a tone curve per channel, uint8 (1, 256, 3): gamma, contrast, brightness, colour cast."""
    values = np.linspace(0, 1, 256)[:, None] ** float(np.exp(rng.normal(0, 0.25)))
    curve = (values - 0.5) * rng.uniform(0.6, 1.2) + 0.5 + rng.normal(0, 0.06)
    curve = curve * (1 + rng.normal(0, 0.05, 3))
    return (np.clip(curve, 0, 1) * 255).round().astype(np.uint8)[None]


def _motion(rng: np.random.Generator, picture: Rgb) -> Rgb:
    reach = int(rng.integers(2, 6))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    turn = rng.uniform(0, np.pi)
    dx, dy = round(reach * np.cos(turn)), round(reach * np.sin(turn))
    cv2.line(kernel, (reach - dx, reach - dy), (reach + dx, reach + dy), 1.0)
    blurred: Rgb = cv2.filter2D(picture, -1, kernel / kernel.sum())
    return blurred
