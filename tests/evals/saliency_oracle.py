"""Pairs of maps and masks, and what pysodmetrics says of them.

That library cannot be installed beside this project (it wants an older numpy and OpenCV), so its numbers are recorded:
`python tests/evals/saliency_oracle.py` in an environment with pysodmetrics 1.6.2 and numpy 2 writes the file anew.
"""

import hashlib
import json
import warnings
from pathlib import Path

import numpy as np

RECORDED = Path(__file__).with_name("pysodmetrics.json")
NAMES = ("mae", "s", "e_adaptive", "e_mean", "e_max", "f_adaptive", "f_mean", "f_max", "weighted_f")
SHAPE = (9, 13)


def smooth(picture: np.ndarray, times: int) -> np.ndarray:
    """Return a picture averaged with its neighbours, over and over."""
    for _ in range(times):
        padded = np.pad(picture, 1, mode="edge")
        picture = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + picture) / 5
    return picture


def random_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return 200 (map, truth): maps of 8 bits, every other one a mask of 0 and 255; truths bool, never empty."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(200):
        shape = tuple(int(side) for side in rng.integers(4, 40, 2))
        field = smooth(rng.random(shape), int(rng.choice([0, 2, 8])))
        truth = field >= np.sort(field.ravel())[int(field.size * rng.choice([0.3, 0.7, 0.95]))]
        guess = smooth(truth * rng.random() + rng.random(shape) * rng.random(), int(rng.integers(0, 3)))
        guess = guess / guess.max() * rng.choice([0.5, 1.0])
        if number % 2:
            guess = (guess >= rng.random() * guess.max()).astype(float)
        found.append((np.rint(guess * 255).astype(np.uint8), truth))
    return found


def degenerate_masks() -> dict[str, np.ndarray]:
    """Return masks, bool, that formulas stumble over."""
    empty = np.zeros(SHAPE, bool)
    masks = {name: empty.copy() for name in ("empty", "full", "dot", "corner", "row", "column", "hole", "half")}
    masks["full"][:] = True
    masks["dot"][4, 6] = True
    masks["corner"][-1, -1] = True
    masks["row"][0] = True
    masks["column"][:, -1] = True
    masks["hole"] = ~masks["dot"]
    masks["half"][:, :6] = True
    return masks


def degenerate_pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return each of those masks against each, and two flat maps, by the names of both."""
    masks = degenerate_masks()
    maps = {name: mask * np.uint8(255) for name, mask in masks.items()}
    maps.update(grey=np.full(SHAPE, 100, np.uint8), dark=np.full(SHAPE, 1, np.uint8) + masks["dot"])
    return {f"{one}/{other}": (maps[one], masks[other]) for one in maps for other in masks}


def digest() -> str:
    """Return what tells whether the pairs are those that were recorded."""
    pairs = [*random_pairs(), *degenerate_pairs().values()]
    return hashlib.sha256(b"".join(one.tobytes() + other.tobytes() for one, other in pairs)).hexdigest()


def ask_pysodmetrics(levels: np.ndarray, truth: np.ndarray) -> list[float | None]:
    """Return its nine numbers, None for NaN; E, which it lifts above 1 where all is right, is cut there."""
    import py_sod_metrics as library

    warnings.simplefilter("ignore")
    measures = library.MAE(), library.Smeasure(), library.Emeasure(), library.Fmeasure(), library.WeightedFmeasure()
    for measure in measures:
        measure.step(levels, truth * np.uint8(255))
    mae, s, e, f, weighted = (measure.get_results() for measure in measures)
    cuts = [(cut["adp"], np.minimum(cut["curve"], 1)) for cut in (e["em"], f["fm"])]
    e_f = [number for adaptive, curve in cuts for number in (min(adaptive, 1), curve.mean(), curve.max())]
    numbers = (mae["mae"], s["sm"], *e_f, weighted["wfm"])
    return [None if np.isnan(number) else round(float(number), 8) for number in numbers]


if __name__ == "__main__":
    rows = {
        "digest": digest(),
        "random": [ask_pysodmetrics(*pair) for pair in random_pairs()],
        "degenerate": {name: ask_pysodmetrics(*pair) for name, pair in degenerate_pairs().items()},
    }
    text = json.dumps(rows)
    RECORDED.write_text(text.replace("], [", "],\n[").replace('], "', '],\n"') + "\n")
