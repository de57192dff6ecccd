"""A labeller that knows the truth, or names everything one class, in the place of segmenter and CLIP."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from vocabulary_stubs import ToyEmbedder

from evals.benchmarks.base import Row
from evals.benchmarks.vocabulary import VocabularyBenchmark
from evals.runs.evaluation import run_sample
from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, Settings, Vocabulary
from graphs.openvocab.aligner import ClassAligner
from graphs.openvocab.composer import PhraseRows
from graphs.openvocab.vocabulary import plain_name
from tools.classifiers.base import Rows
from tools.image_store import Image, image_sha256
from tools.segmenters.automatic import Proposals
from tools.segmenters.base import Mask, Prompt, Segment

Regions = Sequence[tuple[Mask, int]]
"""Masks with the places of their classes."""
EVERYTHING = Settings(proposals=Proposals(points=1, pixels=1, share=1.0), rest=False)


class Oracle:
    """Cuts the true regions of a picture and names them rightly; `constant` names all of them one class."""

    name = "oracle"
    scale = 50.0

    def __init__(self, vocabulary: Vocabulary, truths: Mapping[str, Regions], constant: int | None = None) -> None:
        self.vocabulary, self.truths, self.constant = vocabulary, truths, constant

    def segment(self, image: Image, prompts: Sequence[Prompt]) -> list[Segment]:
        return [Segment(mask, 1.0) for mask, _ in self.truths[image_sha256(image)]]

    def encode_texts(self, texts: Sequence[str]) -> Rows:
        """A text is a name of its class: no template is around it."""
        places = [self.vocabulary.places[plain_name(text)] for text in texts]
        return np.eye(len(self.vocabulary), dtype=np.float32)[places]

    def encode_masks(self, image: Image, masks: Sequence[Mask]) -> Rows:
        return np.eye(len(self.vocabulary), dtype=np.float32)[[self._place(image, mask) for mask in masks]]

    def _place(self, image: Image, mask: Mask) -> int:
        if self.constant is not None:
            return self.constant
        return next(place for true, place in self.truths[image_sha256(image)] if (true == mask).all())


def regions_of(benchmark: VocabularyBenchmark[Any]) -> dict[str, Regions]:
    """Read the true regions of every picture: classes, or panoptic segments with a pixel."""
    found: dict[str, Regions] = {}
    for index in range(len(benchmark)):
        sample = benchmark.dataset[index]
        truth = sample.truth
        if isinstance(truth, np.ndarray):
            regions = [(truth == place, int(place)) for place in np.unique(truth) if place >= 0]
        else:
            regions = [(truth.ids == s.id, s.category) for s in truth.segments if not s.crowd]
        found[image_sha256(sample.image())] = regions
    return found


async def play(benchmark: VocabularyBenchmark[Any], spec: RunSpec) -> list[Row]:
    """Run every sample of a benchmark, one after the other."""
    run = await benchmark.prepare(spec)
    return [await run_sample(benchmark, run, index) for index in range(len(benchmark))]


def with_context(benchmark: Any, context: OpenVocabularyContext) -> VocabularyBenchmark[Any]:
    """Return a benchmark whose pictures are labelled with `context`, whatever a run asks for."""
    assert isinstance(benchmark, VocabularyBenchmark)

    async def make(spec: RunSpec, vocabulary: Vocabulary) -> OpenVocabularyContext:
        return context

    return replace(benchmark, make_context=make)


def with_oracle(benchmark: Any, constant: int | None = None) -> VocabularyBenchmark[Any]:
    """Return a benchmark whose labeller knows the truth, or names everything one class."""
    vocabulary = benchmark.dataset.vocabulary
    oracle = Oracle(vocabulary, regions_of(benchmark), constant)
    context = OpenVocabularyContext(
        vocabulary=vocabulary,
        aligner=ClassAligner(vocabulary, ToyEmbedder()),
        segmenter=oracle,  # type: ignore[arg-type]
        encoder=oracle,
        rows=PhraseRows(oracle, ("{}",)),
        settings=EVERYTHING,
    )
    return with_context(benchmark, context)
