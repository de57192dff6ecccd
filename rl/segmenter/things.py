"""Plain shapes, signs, furniture, vessels, and nameless assemblies."""

import numpy as np

from rl.segmenter.parts import Figure, Part
from rl.segmenter.shapes import SIMPLE, Contour, ellipse, rounded


def simple(rng: np.random.Generator) -> Figure:
    """Draw one plain outline, sometimes with a motif on it."""
    names = list(SIMPLE)
    figure = [Part(SIMPLE[names[int(rng.integers(len(names)))]](rng))]
    for look in range(1, 1 + int(rng.choice([0, 0, 1, 2]))):
        motif = SIMPLE[names[int(rng.integers(len(names)))]](rng)
        place = rng.uniform(-0.5, 0.5, 2)
        figure.append(Part([c * rng.uniform(0.2, 0.6) + place for c in motif], look, inside=True))
    return figure


def sign(rng: np.random.Generator) -> Figure:
    """Draw a plate with a border and a glyph, with or without its pole."""
    names = ("regular", "disc", "disc", "jagged")
    plate = SIMPLE[names[int(rng.integers(4))]](rng)[0] * (0.6, 0.6)
    figure: Figure = []
    if rng.random() < 0.6:
        width = rng.uniform(0.03, 0.12)
        figure.append(Part([rounded(-width, -0.4, width, 1.5, 12)], 0, role="metal"))
    plate = plate - (0, 0.4)
    centre = plate.mean(axis=0)
    figure.append(Part([plate], 1, role="vivid"))
    if rng.random() < 0.7:
        figure.append(Part([(plate - centre) * rng.uniform(0.65, 0.9) + centre], 2, inside=True, role="light"))
    for _ in range(int(rng.integers(0, 4))):
        glyph = simple(rng)[0].shape
        place = centre + rng.uniform(-0.25, 0.25, 2)
        figure.append(Part([c * rng.uniform(0.1, 0.3) + place for c in glyph], 3, inside=True, role="dark"))
    return figure


def furniture(rng: np.random.Generator) -> Figure:
    """Draw an assembly of boxes: a chair, shelf, house, crate or machine."""
    figure: Figure = []
    for look in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(-0.8, 0.3, 2) if look else (-0.5, -0.5)
        w, h = rng.uniform(0.1, 1.1, 2)
        box = rounded(x, y, x + w, y + h, float(rng.choice([3, 8, 30])))
        figure.append(Part([box], look % 3, inside=bool(look and rng.random() < 0.4)))
    return figure


def vessel(rng: np.random.Generator) -> Figure:
    """Draw a bottle, cup, vase or lamp: a turned profile with bands, perhaps with a handle."""
    y = np.linspace(-1, 1, 24)
    profile = np.interp(y, np.linspace(-1, 1, 5), rng.uniform(0.15, 0.7, 5))
    profile = np.convolve(np.pad(profile, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    outline: Contour = np.concatenate([np.stack([profile, y], axis=1), np.stack([-profile, y], axis=1)[::-1]])
    figure: Figure = []
    if rng.random() < 0.4:
        figure.append(Part([ellipse(0.6, 0, 0.35, 0.4), ellipse(0.6, 0, 0.22, 0.27)], 0))
    figure.append(Part([outline], 0))
    for look in range(1, 1 + int(rng.integers(0, 4))):
        top = rng.uniform(-1, 0.8)
        figure.append(Part([rounded(-1, top, 1, top + rng.uniform(0.05, 0.6), 20)], look, inside=True))
    return figure


def assembly(rng: np.random.Generator) -> Figure:
    """Draw two to six shapes that hang together: each next one starts at the border of an earlier one."""
    names = list(SIMPLE)
    figure: Figure = []
    for look in range(int(rng.integers(2, 7))):
        shape = SIMPLE[names[int(rng.integers(len(names)))]](rng)
        place = figure[int(rng.integers(len(figure)))].shape[0] if figure else np.zeros((1, 2))
        turn = rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        size = rng.uniform(0.2, 0.8, 2)
        anchor = place[int(rng.integers(len(place)))]
        figure.append(Part([(c * size) @ rotation + anchor * 0.8 for c in shape], look if rng.random() < 0.8 else 0))
    return figure
