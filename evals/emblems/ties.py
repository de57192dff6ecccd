"""Tasks that leave open which object is meant: the words fit two or more, and any of them is right."""

import numpy as np

from evals.emblems.clips import FRAMES, make_clip
from evals.emblems.tasks import EmblemTask, clear_enough, draw_family, words_for

_WAYS = (("shape",), ("colour", "shape"), ("pattern", "shape"))
"""The attributes that a query may name; all three would single an emblem out."""


def draw_tie(rng: np.random.Generator, task_id: str, frames: int = FRAMES) -> tuple[EmblemTask, tuple[int, ...]]:
    """Draw a task whose query fits several movers; returns it, `target` one of them at random, and all of them."""
    while True:
        emblems = draw_family(rng, int(rng.integers(4, 7)))
        one = emblems[int(rng.integers(len(emblems)))]
        chosen = _WAYS[int(rng.integers(len(_WAYS)))]
        meant = tuple(i for i, e in enumerate(emblems) if all(getattr(e, a) == getattr(one, a) for a in chosen))
        if len(meant) == 1:
            continue
        clip = make_clip(rng, emblems, frames)
        if all(clear_enough(clip, mover) for mover in meant):
            break
    target = meant[int(rng.integers(len(meant)))]
    query = f"the {words_for(one, chosen)}"
    return EmblemTask(task_id, "in-video", query, clip, target, target, emblems[target], None, None, None), meant
