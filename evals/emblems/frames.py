"""Frames of Emblems with a class at every pixel: one of 320 emblems, or background."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evals.datasets.labelled import LabelledPicture
from evals.emblems.tasks import draw_task
from evals.emblems.world import ALL_EMBLEMS, World, make_world
from graphs.openvocab import Vocabulary
from graphs.openvocab.fusion import LabelMap
from tools.image_store import Image

BACKGROUND = 0
VOCABULARY = Vocabulary.of(["background", *(e.phrase for e in ALL_EMBLEMS)], stuff=["background"])
_PLACE = {emblem: place for place, emblem in enumerate(ALL_EMBLEMS, 1)}


@dataclass(frozen=True)
class EmblemFrames:
    """`n` frames of 4 to 6 emblems of one family, 448 by 448; frame i depends on (seed, i) alone."""

    seed: int
    n: int
    vocabulary: Vocabulary = VOCABULARY

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int, /) -> LabelledPicture[LabelMap]:
        """Draw a frame, with the place of each pixel's class; IndexError beyond the last."""
        index = range(self.n)[index]
        clip = draw_task(np.random.default_rng((self.seed, index, 9)), self._world, "in-video", "", 1).clip
        image, ids = clip.render(0)
        places = np.array([BACKGROUND, *(_PLACE[mover.emblem] for mover in clip.movers)], np.int32)
        truth = places[ids.astype(np.int32) + 1]

        def drawn() -> Image:
            return image

        return LabelledPicture(f"{self.seed}-{index}", (truth.shape[0], truth.shape[1]), truth, drawn)

    @cached_property
    def _world(self) -> World:
        return make_world("test", self.seed, 20)
