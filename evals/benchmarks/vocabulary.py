"""Benchmarks that the second graph plays: pictures with a class at every pixel, labelled with their vocabulary."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Generic, TypeVar

from evals.benchmarks.base import Measure, Picture, Published, Row, RunSample
from evals.benchmarks.listing import measure_listing, tell_listing
from evals.benchmarks.scorers.base import VocabularyScorer
from evals.benchmarks.vocabulary_context import open_vocabulary_context
from evals.benchmarks.ways import OWN, Ways, label_ways
from evals.datasets.labelled import LabelledPicture, LabelledPictures
from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, Vocabulary
from graphs.openvocab.fusion import Maps
from tools.errors import EvaluationError, InputError, SegscoutError, boundary

Truth = TypeVar("Truth")
MakeContext = Callable[[RunSpec, Vocabulary], Awaitable[OpenVocabularyContext]]


@dataclass(frozen=True, kw_only=True)
class VocabularyBenchmark(Generic[Truth]):
    """A data set labelled by the second graph; see `evals.benchmarks.base.Benchmark`."""

    name: str
    title: str
    dataset: LabelledPictures[Truth]
    scorer: VocabularyScorer[Truth]
    ways: Ways
    published: Sequence[Published] = ()
    make_context: MakeContext = open_vocabulary_context

    @property
    def counts(self) -> str:
        """How failures and ignored pixels count."""
        return self.scorer.counts

    def __len__(self) -> int:
        return len(self.dataset)

    async def prepare(self, spec: RunSpec) -> RunSample:
        """Load policy, segmenter and encoder; InputError or an error of theirs for what cannot be had."""
        return partial(self._run, await self.make_context(spec, self.dataset.vocabulary))

    def failed(self, row: Row) -> Row:
        """Return the row of a picture that could not be run at all: all of its truth is missed, if that can be read."""
        remedy = "Check the picture; else it is a fault of ours."
        try:
            with boundary(EvaluationError, f"sample {row.index} cannot be read", remedy=remedy):
                sample = self.dataset[row.index]
        except SegscoutError:
            return replace(row, scores=self.scorer.failure)
        return self._score(replace(row, id=sample.id), sample, {})

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure, and how well reasoning lists the classes if there was any."""
        return self.scorer.measure(rows) + measure_listing(rows)

    def picture(self, row: Row) -> Picture:
        """Load the picture and its largest true masks."""
        sample = self.dataset[row.index]
        return Picture(sample.image(), self.scorer.masks(sample.truth))

    async def _run(self, context: OpenVocabularyContext, index: int) -> Row:
        sample = await asyncio.to_thread(self.dataset.__getitem__, index)
        remedy = "Check the picture; else it is a fault of ours."
        try:
            with boundary(EvaluationError, f"{sample.id} could not be labelled", remedy=remedy):
                return await self._play(context, index, sample)
        except SegscoutError as error:
            # The truth is known, so that its pixels count.
            row = Row(index=index, id=sample.id, ending="not_run", error=error.boundary, message=str(error))
            listing = tell_listing(self.scorer.places(sample.truth), context)
            return self._score(replace(row, details=listing), sample, {})

    async def _play(self, context: OpenVocabularyContext, index: int, sample: LabelledPicture[Truth]) -> Row:
        image = await asyncio.to_thread(sample.image)
        start = perf_counter()
        result, maps, failure = await label_ways(image, context, self.ways)
        maps = {way: self.scorer.finish(some) for way, some in maps.items()}
        row = Row(
            index=index,
            id=sample.id,
            frame=0,
            ending=result.ending.value,
            error=failure["boundary"] if failure else "",
            message=failure["message"] if failure else "",
            seconds=round(perf_counter() - start, 4),
            turns=len(result.replies),
            said=tuple(reply["text"] for reply in result.replies),
            details={
                **tell_listing(self.scorer.places(sample.truth), context, result),
                "seconds": {node: round(seconds, 4) for node, seconds in result.seconds.items()},
            },
        )
        return await asyncio.to_thread(self._score, row, sample, maps)

    def _score(self, row: Row, sample: LabelledPicture[Truth], maps: Mapping[str, Maps]) -> Row:
        """Return the row with its scores; ways that broke have labelled nothing."""
        every = {way: maps.get(way) or Maps.empty(sample.size) for way in self.ways}
        scores, details = self.scorer.score(sample.truth, every)
        if OWN not in maps:
            scores = self.scorer.failure
        first = next(iter(scores.values()))
        cuts = self.scorer.cuts(every[OWN])
        return replace(row, score=first, scores=scores, cuts=cuts, details={**row.details, **details})


def check_split(spec: RunSpec, *splits: str) -> None:
    """Raise InputError if a run asks for a split that is none of `splits`."""
    if spec.split and spec.split not in splits:
        raise InputError(f"{spec.benchmark} has no split {spec.split!r}.", remedy=f"Choose {' or '.join(splits)}.")
