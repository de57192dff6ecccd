"""Every family of figures: how to draw it and how often it is drawn."""

from rl.segmenter.beings import animal, plant, walker
from rl.segmenter.parts import Build
from rl.segmenter.things import assembly, furniture, sign, simple, vessel
from rl.segmenter.vehicles import car_end, car_side, cyclist, cyclist_end

FIGURES: dict[str, tuple[Build, float, bool]] = {
    "simple": (simple, 0.22, False),
    "assembly": (assembly, 0.12, False),
    "walker": (walker, 0.14, True),
    "car_side": (car_side, 0.09, True),
    "car_end": (car_end, 0.09, True),
    "cyclist": (cyclist, 0.06, True),
    "cyclist_end": (cyclist_end, 0.06, True),
    "sign": (sign, 0.05, True),
    "animal": (animal, 0.05, True),
    "furniture": (furniture, 0.05, True),
    "vessel": (vessel, 0.04, True),
    "plant": (plant, 0.03, True),
}
"""Family → how to draw it, its share, and whether it stands upright."""
