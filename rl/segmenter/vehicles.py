"""Cars, vans and two-wheelers with their riders."""

import numpy as np

from rl.segmenter.parts import Figure, Part, limb, limbs
from rl.segmenter.shapes import capsule, ellipse, polygon, rounded


def _wheel(figure: Figure, x: float, y: float, radius: float) -> None:
    figure.append(Part([ellipse(x, y, radius, radius)], 7, role="dark"))
    figure.append(Part([ellipse(x, y, radius * 0.6, radius * 0.6)], 8, role="metal"))


def car_side(rng: np.random.Generator) -> Figure:
    """Draw a car or van from the side: body, cabin, windows, wheels, lights."""
    height, belt = rng.uniform(0.55, 0.95), rng.uniform(-0.1, 0.1)
    floor, roof = 0.42, 0.42 - height
    front, back = rng.uniform(-0.75, -0.3), rng.uniform(0.35, 0.98)
    rake, tail = rng.uniform(0.1, 0.35), rng.uniform(0.02, 0.3)
    cabin = polygon((front, belt), (min(front + rake, back - tail - 0.2), roof), (back - tail, roof), (back, belt))
    figure = [Part([rounded(-1, belt - 0.06, 1, floor, rng.uniform(4, 12))], 0), Part([cabin], 0)]
    centre = cabin.mean(axis=0)
    glass = (cabin - centre) * (rng.uniform(0.82, 0.9), rng.uniform(0.65, 0.8)) + centre
    figure.append(Part([glass], 1, inside=True, role="glass"))
    for share in rng.uniform(0.3, 0.75, int(rng.integers(1, 3))):
        x = front + share * (back - front)
        figure.append(Part([rounded(x - 0.02, roof, x + 0.02, floor, 20)], 0, inside=True))
    figure.append(Part([rounded(-1, floor - 0.1, 1, floor, 12)], 2, inside=True, role="dark"))
    radius = rng.uniform(0.15, 0.22)
    for x in (-rng.uniform(0.55, 0.7), rng.uniform(0.55, 0.7)):
        figure.append(Part([ellipse(x, floor, radius * 1.2, radius * 1.2)], 2, inside=True, role="dark"))
        _wheel(figure, x, floor - 0.02, radius)
    for x, role in ((-0.95, "light"), (0.95, "vivid")):
        figure.append(Part([rounded(x - 0.07, belt + 0.02, x + 0.07, belt + 0.12, 4)], 9, inside=True, role=role))
    return figure


def car_end(rng: np.random.Generator) -> Figure:
    """Draw a car, van or bus from the front or the back."""
    tall = rng.uniform(0.55, 1.1)
    top, low, belt = -tall, 0.75, rng.uniform(-0.15, 0.1)
    cabin = polygon((-0.9, belt), (-rng.uniform(0.6, 0.85), top), (rng.uniform(0.6, 0.85), top), (0.9, belt))
    figure: Figure = []
    for x in (-0.72, 0.72):
        figure.append(Part([rounded(x - 0.16, 0.45, x + 0.16, 0.95, 5)], 7, role="dark"))
    if rng.random() < 0.5:
        for x in (-1.0, 1.0):
            figure.append(Part([ellipse(x, belt, 0.13, 0.09)], int(rng.choice([0, 2])), role="any"))
    figure += [Part([rounded(-0.95, belt - 0.1, 0.95, low, rng.uniform(4, 9))], 0), Part([cabin], 0)]
    centre = cabin.mean(axis=0)
    figure.append(Part([(cabin - centre) * (0.88, rng.uniform(0.6, 0.82)) + centre], 1, inside=True, role="glass"))
    lamps = rng.uniform(0.08, 0.25), rng.uniform(0.06, 0.3)
    role = str(rng.choice(["light", "vivid"]))
    for x in (-0.75, 0.75):
        box = rounded(x - lamps[0], belt + 0.15 - lamps[1] / 2, x + lamps[0], belt + 0.15 + lamps[1], 3)
        figure.append(Part([box], 9, inside=True, role=role))
    bumper = rounded(-0.95, low - rng.uniform(0.1, 0.3), 0.95, low, 10)
    figure.append(Part([bumper], int(rng.choice([0, 2])), inside=True, role="dark"))
    figure.append(Part([rounded(-0.25, 0.35, 0.25, 0.48, 10)], 10, inside=True, role="light"))
    return figure


def cyclist(rng: np.random.Generator) -> Figure:
    """Draw a rider on a bicycle or motorcycle from the side."""
    figure: Figure = []
    radius, thick = rng.uniform(0.3, 0.4), rng.uniform(0.03, 0.07)
    axle = 0.95 - radius
    solid = rng.random() < 0.4
    for x in (-0.55, 0.55):
        wheel = ellipse(x, axle, radius, radius)
        inner = ellipse(x, axle, radius - thick * 1.5, radius - thick * 1.5)
        figure.append(Part([wheel] if solid else [wheel, inner], 7, role="dark"))
    seat, crank, bar = (0.28, 0.1), (0.05, axle), (-0.42, 0.0)
    front, rear = (-0.55, axle), (0.55, axle)
    for start, end in ((seat, crank), (bar, crank), (seat, bar), (bar, front), (crank, rear), (seat, rear)):
        figure.append(Part([capsule(start, end, thick * 0.7, thick * 0.7)], 0))
    lean = rng.uniform(0.05, 0.45)
    neck = (seat[0] - lean - 0.1, -0.5)
    for angle in (rng.uniform(-0.9, -0.3), rng.uniform(-0.6, 0.1)):
        limbs(figure, limb(seat, angle, rng.uniform(0.4, 0.9), 0.8, 0.1), 1)
    figure.append(Part([capsule(seat, neck, rng.uniform(0.14, 0.2), rng.uniform(0.14, 0.2))], 2))
    figure.append(Part([capsule(neck, bar, 0.07, 0.05)], 2))
    head = (neck[0] - 0.06, neck[1] - 0.27)
    figure.append(Part([ellipse(*head, 0.11, 0.14)], 3, role="skin"))
    figure.append(Part([ellipse(head[0], head[1] - 0.06, 0.13, 0.11)], 4))
    return figure


def cyclist_end(rng: np.random.Generator) -> Figure:
    """Draw a rider on a bicycle from behind or in front: one upright wheel, two legs, a back and a head."""
    figure: Figure = []
    tyre, broad = rng.uniform(0.03, 0.06), rng.uniform(0.2, 0.3)
    figure.append(Part([rounded(-tyre, 0.25, tyre, 1.0, 4)], 7, role="dark"))
    if rng.random() < 0.5:
        figure.append(Part([rounded(-0.14, 0.25, 0.14, 0.36, 4)], 9, role=str(rng.choice(["vivid", "dark"]))))
    bar = rng.uniform(0.25, 0.4)
    figure.append(Part([capsule((-bar, -0.1), (bar, -0.1), 0.03, 0.03)], 0, role="dark"))
    look = int(rng.integers(1, 3))
    for side in (-1, 1):
        knee = (side * rng.uniform(0.12, 0.25), rng.uniform(0.3, 0.5))
        foot = (side * rng.uniform(0.1, 0.18), rng.uniform(0.6, 0.95))
        figure.append(Part([capsule((side * 0.1, 0.1), knee, 0.11, 0.08)], 1, role="dark"))
        figure.append(Part([capsule(knee, foot, 0.08, 0.06)], 1, role="dark"))
        shoulder = (side * broad * 0.9, -0.45)
        figure.append(Part([capsule(shoulder, (side * (broad + 0.1), -0.2), 0.08, 0.07)], look))
        figure.append(Part([capsule((side * (broad + 0.1), -0.2), (side * bar, -0.1), 0.07, 0.04)], look))
    figure.append(Part([rounded(-broad, -0.62, broad, 0.2, rng.uniform(2.5, 5))], look))
    if rng.random() < 0.3:
        figure.append(Part([rounded(-broad * 0.7, -0.5, broad * 0.7, 0.0, 4)], 4))
    figure.append(Part([ellipse(0, -0.78, 0.11, 0.15)], 5, role=str(rng.choice(["skin", "dark"]))))
    figure.append(Part([ellipse(0, -0.85, 0.13, 0.1)], 6))
    return figure
