"""Endless streams of batches for the two stages, rendered in worker processes.

Batch i depends on (seed, i) alone: not on how many workers and processes render, nor on where a run was resumed. Of N
processes the one of rank r takes batch N * step + r at a step.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from evals.emblems.names import Split
from evals.emblems.tasks import Ability
from evals.emblems.world import make_world
from graphs.conversation import Turn
from graphs.dialects.seg_research import SegResearch
from graphs.policies.chatml import ChatML
from rl.sft.batches import Batch, Shape, collate
from rl.sft.chatter import SILENCE, Chatter
from rl.sft.perception import clip_sample, emblem_sample, picture_sample
from rl.sft.samples import Pictures, jitter_coordinates, tokenise
from rl.sft.tokenizer import NUMBERS, coordinate_openers, token_id
from rl.sft.trajectories import CAREFUL, MIX, Carelessness, Library, draw_trajectory

Draw = Callable[[np.random.Generator, int], tuple[list[Turn], Pictures]]
"""Draw the sample of a row."""

_BATCHES_A_WORLD = 4
"""Batches, by their numbers, that share a world."""


@dataclass(frozen=True)
class Share:
    """Which of several processes this one is, and of how many: each renders its own batches."""

    rank: int
    size: int


@dataclass(frozen=True)
class Stream(IterableDataset[Batch]):
    """Batches of one kind of data ("perception" or "trajectories") of one split, from number `first` on."""

    data: str
    tokenizer_file: Path
    dialect: SegResearch
    shape: Shape
    split: Split
    seed: int
    first: int = 0
    jitter: int = 0
    share: Share = Share(0, 1)
    mix: Mapping[Ability, float] = field(default_factory=lambda: MIX)
    careless: Carelessness = CAREFUL
    chatter: Chatter = SILENCE
    tied: float = 0.0

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # DataLoader asks its workers in turn, so each renders every so manieth batch of this process.
        workers, turn = (worker.num_workers, worker.id) if worker else (1, 0)
        tokenizer = Tokenizer.from_file(str(self.tokenizer_file))

        def encode(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False).ids)

        chatml = ChatML(encode)
        pad = token_id(tokenizer, "<|endoftext|>")
        numbers, opens = np.array([token_id(tokenizer, n) for n in NUMBERS]), coordinate_openers(tokenizer)
        number, drawn = self.first + self.share.rank + self.share.size * turn, -1
        while True:
            if drawn != number // _BATCHES_A_WORLD:
                drawn = number // _BATCHES_A_WORLD
                draw = self._drawer(drawn)
            rng = np.random.default_rng((self.seed, number, 1))
            samples = [tokenise(chatml, encode, *draw(rng, row)) for row in range(self.shape.rows)]
            if self.jitter:
                samples = [jitter_coordinates(sample, rng, numbers, opens, self.jitter) for sample in samples]
            yield collate(samples, self.shape, pad, chatml.image_pad)
            number += self.share.size * workers

    def _drawer(self, world_number: int) -> Draw:
        world_seed = self.seed * 1_000_003 + world_number
        if self.data == "trajectories":
            library = Library.draw(world_seed, split=self.split)
            return lambda rng, row: draw_trajectory(
                rng, library, self.dialect, self.mix, self.careless, self.chatter, self.tied
            )
        world, view, slots = make_world(self.split, world_seed, 50), self.dialect.view, self.shape.slots
        small, large = slots[view.image_size], slots[view.keyframe_size]

        def draw(rng: np.random.Generator, row: int) -> tuple[list[Turn], Pictures]:
            if row < small:
                return emblem_sample(rng, world, view)
            return picture_sample(rng, view) if row < small + large else clip_sample(rng, view)

        return draw


def loader(stream: Stream, workers: int, *, pin: bool) -> "DataLoader[Batch]":
    """Render batches ahead in worker processes."""
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=3 if workers else None,
        # A forked worker can inherit a lock that a thread of this process holds; a fresh one cannot.
        multiprocessing_context="forkserver" if workers else None,
        worker_init_fn=_one_thread if workers else None,
    )


def _one_thread(worker: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
