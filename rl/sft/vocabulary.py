"""The text that the tokenizer is trained on: conversations of both stages, with pictures left out."""

from collections.abc import Iterator

import numpy as np

from graphs.profiles import get_profile
from rl.sft.perception import clip_sample, picture_sample
from rl.sft.trajectories import Library, draw_trajectory


def sample_texts(seed: int, worlds: int = 24, per_world: int = 30) -> Iterator[str]:
    """Yield the text of conversations drawn from many worlds, so that names are cut into their syllables."""
    dialect = get_profile("embedded").make_dialect()
    for number in range(worlds):
        rng = np.random.default_rng((seed, number, 5))
        library = Library.draw(seed * 7919 + number)
        for _ in range(per_world):
            for turns, _pictures in (draw_trajectory(rng, library, dialect),):
                yield from (turn.text for turn in turns)
        for title, body in library.world.records():
            yield f"1. (Title: {title}) {body}\n"
        for draw in (picture_sample, clip_sample):
            for _ in range(2):
                turns, _pictures = draw(rng, dialect.view)
                yield from (turn.text for turn in turns)
