"""Benchmarks that the second graph plays: pictures with a class at every pixel, labelled with their vocabulary.

What reasoning brings is seen at once: the same masks, with the same scores, are labelled with the soft prior of
presence, with hard gating as OpenSeg-R does, and without a prior; with `boxes` the policy's own boxes are cut, too.
Each is a way, and the first leads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from evals.benchmarks.base import Cut, Measure, Picture, Published, Row, RunSample
from evals.benchmarks.vocabulary_context import open_vocabulary_context
from evals.datasets.labelled import LabelledPicture, LabelledPictures
from evals.metrics.intervals import bootstrap_sums
from evals.runs.spec import RunSpec
from graphs.openvocab import OpenVocabularyContext, OpenVocabularyResult, Vocabulary, segment_vocabulary
from graphs.openvocab.fusion import Maps, fuse
from graphs.state import PlainFailure
from tools.errors import EvaluationError, InputError, SegscoutError, boundary
from tools.image_store import Image
from tools.segmenters.base import Mask

HARD, NO_PRIOR, BOXES = "hard gating", "no prior", "policy's boxes"
Truth = TypeVar("Truth")
Scored = TypeVar("Scored", contravariant=True)
MakeContext = Callable[[RunSpec, Vocabulary], Awaitable[OpenVocabularyContext]]


class VocabularyScorer(Protocol[Scored]):
    """Compare maps with the truth, and make measures of what that gives."""

    @property
    def counts(self) -> str:
        """How failures and ignored pixels count."""
        ...

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a picture that could not be labelled; the first is what rows are sorted by."""
        ...

    def score(self, truth: Scored, ways: Mapping[str, Maps]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        """Return the scores of the first way, and the details from which `measure` sums up all of them."""
        ...

    def finish(self, maps: Maps) -> Maps:
        """Return the maps of a run as they are scored."""
        ...

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure of at least one row; the first one leads."""
        ...

    def cuts(self, maps: Maps) -> tuple[Cut, ...]:
        """Return the largest masks of maps, with their classes."""
        ...

    def masks(self, truth: Scored) -> tuple[Mask, ...]:
        """Return the largest true masks."""
        ...

    def places(self, truth: Scored) -> frozenset[int]:
        """Return the places of the classes in a truth."""
        ...


@dataclass(frozen=True, kw_only=True)
class VocabularyBenchmark(Generic[Truth]):
    """A data set labelled by the second graph; see `evals.benchmarks.base.Benchmark`."""

    name: str
    title: str
    dataset: LabelledPictures[Truth]
    scorer: VocabularyScorer[Truth]
    ways: tuple[str, ...]
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

    def failure(self, index: int) -> Mapping[str, float]:
        """Return the scores of a picture whose truth could not be read."""
        return self.scorer.failure

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure, and how well reasoning lists the classes if there was any."""
        measures = self.scorer.measure(rows)
        listings = np.array([row.details["listing"] for row in rows if "listing" in row.details], np.float64)
        if len(self.ways) > 1 and listings.size:
            measures += [_share("listing recall", listings, 1), _share("listing precision", listings, 2)]
        return measures

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
            return self._score(replace(row, details=self._listed(sample, context)), sample, {})

    async def _play(self, context: OpenVocabularyContext, index: int, sample: LabelledPicture[Truth]) -> Row:
        image = await asyncio.to_thread(sample.image)
        start = perf_counter()
        result, maps, failure = await self._label(image, context)
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
            details=self._listed(sample, context, result),
        )
        return await asyncio.to_thread(self._score, row, sample, maps)

    async def _label(
        self, image: Image, context: OpenVocabularyContext
    ) -> tuple[OpenVocabularyResult, dict[str, Maps], PlainFailure | None]:
        """Return the result, the maps of the ways that did not break, and what broke, if anything did."""
        result = await segment_vocabulary(image, context)
        if result.maps is None:
            return result, {}, result.failure
        maps = {way: await asyncio.to_thread(_fuse, way, result, context) for way in self.ways if way != BOXES}
        failure: PlainFailure | None = None
        if BOXES in self.ways:
            again = replace(context, reasons=result.reasons, settings=replace(context.settings, regions="boxes"))
            located = await segment_vocabulary(image, again)
            failure = located.failure
            if located.maps is not None:
                maps[BOXES] = located.maps
        return result, {way: self.scorer.finish(some) for way, some in maps.items()}, failure

    def _score(self, row: Row, sample: LabelledPicture[Truth], maps: Mapping[str, Maps]) -> Row:
        """Return the row with its scores; ways that broke have labelled nothing."""
        every = {way: maps.get(way) or Maps.empty(sample.size) for way in self.ways}
        scores, details = self.scorer.score(sample.truth, every)
        if self.ways[0] not in maps:
            scores = self.scorer.failure
        first = next(iter(scores.values()))
        cuts = self.scorer.cuts(every[self.ways[0]])
        return replace(row, score=first, scores=scores, cuts=cuts, details={**row.details, **details})

    def _listed(
        self,
        sample: LabelledPicture[Truth],
        context: OpenVocabularyContext,
        result: OpenVocabularyResult | None = None,
    ) -> dict[str, Any]:
        """Return what reasoning said: classes listed rightly, in the truth, and listed; what is certain is left out."""
        classes, certain = context.vocabulary.classes, context.settings.certain
        true, found = (
            {place for place in places if classes[place].name not in certain}
            for places in (self.scorer.places(sample.truth), result.found if result else ())
        )
        unaligned = list(result.unaligned) if result else []
        return {
            "listing": [len(true & found), len(true), len(found) + len(unaligned)],
            "present": sorted(classes[place].name for place in found),
            "unaligned": unaligned,
            "seconds": {node: round(seconds, 4) for node, seconds in result.seconds.items()} if result else {},
        }


def choose_ways(spec: RunSpec) -> tuple[str, ...]:
    """Return the ways in which a run labels, the graph's own first; InputError for boxes without a policy."""
    if spec.reasoning == "off":
        if spec.boxes:
            raise InputError("boxes are the policy's.", remedy="Leave out --boxes or --no-reasoning.")
        return ("",)
    return ("", HARD, NO_PRIOR, *((BOXES,) if spec.boxes else ()))


def check_split(spec: RunSpec, *splits: str) -> None:
    """Raise InputError if a run asks for a split that is none of `splits`."""
    if spec.split and spec.split not in splits:
        raise InputError(f"{spec.benchmark} has no split {spec.split!r}.", remedy=f"Choose {' or '.join(splits)}.")


def _fuse(way: str, result: OpenVocabularyResult, context: OpenVocabularyContext) -> Maps:
    """Return the maps of a run's masks as `way` makes them."""
    assert result.maps is not None
    if not way or result.scores is None:
        return result.maps
    prior, found = context.settings.prior, result.found
    size = (result.maps.labels.shape[0], result.maps.labels.shape[1])
    return fuse(
        result.regions,
        result.scores,
        found if way == HARD else (),
        context.vocabulary,
        size,
        prior=replace(prior, hard=True) if way == HARD else prior,
        rules=context.settings.panoptic,
    )


def _share(name: str, listings: NDArray[np.float64], of: int) -> Measure:
    """Return the share of rightly listed classes in column `of` of all pictures."""
    pairs = listings[:, [0, of]]

    def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        out = np.full(len(sums), np.nan)
        return np.asarray(np.divide(sums[:, 0], sums[:, 1], out=out, where=sums[:, 1] > 0), np.float64)

    total = pairs.sum(axis=0)
    if not total[1]:
        return Measure(name, 0.0, len(pairs))
    return Measure(name, float(total[0] / total[1]), len(pairs), bootstrap_sums(pairs, share))
