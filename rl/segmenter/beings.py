"""People, animals and plants."""

import numpy as np

from rl.segmenter.parts import Figure, Part, limb, limbs
from rl.segmenter.shapes import SIMPLE, capsule, ellipse, polygon, rounded


def walker(rng: np.random.Generator) -> Figure:
    """Draw a person who stands or walks, seen from any side."""
    stride, broad = rng.uniform(0, 0.5), rng.uniform(0.15, 0.27)
    hip, shoulder = rng.uniform(-0.05, 0.12), rng.uniform(-0.62, -0.55)
    figure: Figure = []
    leg, look_leg = rng.uniform(0.07, 0.12), int(rng.integers(1, 3))
    for side in (-1, 1):
        foot = limb((side * broad * 0.45, hip), side * stride, -rng.uniform(0, 0.4), 0.95 - hip, leg)
        limbs(figure, foot, look_leg)
        end = foot[1].mean(axis=0) + np.array([0, 0.22 * (0.95 - hip)])
        figure.append(Part([ellipse(end[0] + rng.uniform(-0.04, 0.08), end[1] + 0.02, 0.11, 0.05)], 3, role="dark"))
    arms = []
    for side in (-1, 1):
        hang, bend = side * rng.uniform(0, 0.6), rng.uniform(-0.3, 1.0)
        arms.append(limb((side * broad * 0.95, shoulder + 0.08), hang, bend, 0.62, 0.06))
    limbs(figure, arms[0], 0)
    flare = rng.uniform(0.75, 1.25) if rng.random() < 0.7 else rng.uniform(1.2, 1.8)
    hem = hip + rng.choice([0.08, 0.08, rng.uniform(0.1, 0.5)])
    figure.append(
        Part([polygon((-broad, shoulder), (broad, shoulder), (broad * flare, hem), (-broad * flare, hem))], 0)
    )
    figure.append(Part([rounded(-broad * 1.05, shoulder - 0.06, broad * 1.05, shoulder + 0.3, 3)], 0))
    limbs(figure, arms[1], 0)
    if rng.random() < 0.35:
        x = rng.choice([-1, 1]) * broad * rng.uniform(0.4, 1.6)
        figure.append(Part([rounded(x - 0.13, shoulder + 0.1, x + 0.13, hip + rng.uniform(0, 0.3), 5)], 4))
    figure.append(Part([rounded(-0.05, -0.72, 0.05, -0.55, 4)], 5, role="skin"))
    figure.append(Part([ellipse(0, -0.8, rng.uniform(0.09, 0.12), 0.15)], 5, role="skin"))
    hair = rng.uniform(-0.02, 0.12)
    figure.append(Part([ellipse(rng.uniform(-0.03, 0.03), -0.86 - hair / 4, 0.12, 0.1 + hair / 2)], 6, role="dark"))
    return figure


def animal(rng: np.random.Generator) -> Figure:
    """Draw a four-legged animal or a bird from the side."""
    figure: Figure = []
    length, girth = rng.uniform(0.5, 0.75), rng.uniform(0.18, 0.4)
    for x in rng.uniform(0.7, 1, 4) * length * (-1, -0.8, 0.8, 1):
        limbs(figure, limb((float(x) * 0.8, 0.1), rng.uniform(-0.3, 0.3), rng.uniform(-0.4, 0.4), 0.75, 0.07), 0)
    figure.append(Part([capsule((length, -0.05), (1.0, rng.uniform(-0.6, 0.4)), 0.06, 0.03)], 0))
    figure.append(Part([ellipse(0, 0, length, girth)], 0))
    head = (-rng.uniform(0.65, 0.9), -rng.uniform(0.2, 0.6))
    figure.append(Part([capsule((-length * 0.7, -0.05), head, girth * 0.6, 0.13)], 0))
    figure.append(Part([ellipse(*head, 0.2, 0.15)], int(rng.integers(2))))
    figure.append(
        Part([polygon((head[0], head[1] - 0.05), (head[0] + 0.05, head[1] - 0.3), (head[0] + 0.14, head[1]))], 0)
    )
    for _ in range(int(rng.integers(0, 5))):
        spot = rng.uniform(-0.6, 0.6, 2) * (length, girth)
        figure.append(Part([ellipse(spot[0], spot[1], *rng.uniform(0.05, 0.25, 2))], 2, inside=True))
    return figure


def plant(rng: np.random.Generator) -> Figure:
    """Draw a crown or bunch of overlapping blobs on a stem or in a pot."""
    figure = [Part([rounded(-0.08, 0, 0.08, 1, 8)], 1, role="dark")]
    if rng.random() < 0.4:
        figure.append(Part([polygon((-0.35, 0.5), (0.35, 0.5), (0.25, 1), (-0.25, 1))], 2))
    for _ in range(int(rng.integers(4, 12))):
        blob = SIMPLE["blob"](rng)[0] * rng.uniform(0.2, 0.5)
        figure.append(Part([blob + rng.uniform(-0.6, 0.6, 2) * (1, 0.7) - (0, 0.3)], 0))
    return figure
