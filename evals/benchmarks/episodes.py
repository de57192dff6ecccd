"""Benchmarks that the agent's own graph plays: a data set, and a scorer that compares its masks with the true ones."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Protocol

from evals.benchmarks.base import Cut, Measure, Picture, Published, Row, RunSample
from evals.contexts import make_context, open_policy
from evals.datasets.base import Dataset, Sample
from evals.runs.spec import NO_SEARCH, RunSpec
from graphs.context import Context
from graphs.endings import Ending
from graphs.episode import EpisodeResult, run_episode
from graphs.policies.base import Policy
from graphs.profiles import profile_for
from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.search.base import SearchProvider
from tools.search.choosing import SearchRequest, choose
from tools.search.knowledge_base import KnowledgeBaseSearch
from tools.settings import read_settings


class Scorer(Protocol):
    """Compare an episode's masks with the truth, and make measures of what that gives."""

    @property
    def counts(self) -> str:
        """How failures and empty truths count."""
        ...

    @property
    def failure(self) -> Mapping[str, float]:
        """The scores of a sample that could not be read."""
        ...

    def score(self, sample: Sample, result: EpisodeResult) -> tuple[float, Mapping[str, float]]:
        """Return how good an answer is, 0 to 1, and the scores that measures are made of."""
        ...

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure of at least one row; the first one leads."""
        ...


@dataclass(frozen=True, kw_only=True)
class EpisodeBenchmark:
    """A data set played by the agent; see `evals.benchmarks.base.Benchmark`."""

    name: str
    title: str
    dataset: Dataset
    scorer: Scorer
    published: Sequence[Published] = ()

    @property
    def counts(self) -> str:
        """How failures and empty truths count."""
        return self.scorer.counts

    def __len__(self) -> int:
        return len(self.dataset)

    async def prepare(self, spec: RunSpec) -> RunSample:
        """Load policy, segmenter and search; InputError, PolicyError or SegmenterError for what cannot be had."""
        return partial(self._run, await open_context(spec))

    def failed(self, row: Row) -> Row:
        """Return the row of a sample that could not be run at all with the scores of a failure."""
        return replace(row, scores=self.scorer.failure)

    def measure(self, rows: Sequence[Row]) -> list[Measure]:
        """Compute every measure."""
        return self.scorer.measure(rows)

    def picture(self, row: Row) -> Picture | None:
        """Load the frame that was answered on, else the first, and the true masks there."""
        sample = self.dataset[row.index]
        frame = row.frame or 0
        return Picture(sample.media[frame], sample.masks(frame))

    async def _run(self, context: Context, index: int) -> Row:
        sample = await asyncio.to_thread(self.dataset.__getitem__, index)
        start = perf_counter()
        result = await run_episode(sample.task, context)
        seconds = perf_counter() - start
        score, scores = await asyncio.to_thread(self.scorer.score, sample, result)
        row = Row(index=index, id=sample.id, query=sample.query, group=sample.group, score=score, scores=scores)
        return replace(told_by(result, row), seconds=round(seconds, 4))


def told_by(result: EpisodeResult, row: Row) -> Row:
    """Return a row with what an episode tells of itself, whatever it was scored by."""
    frame = result.keyframe if result.ending is Ending.FOUND else None
    rles = [] if frame is None else [(i, result.masks.rle(i, frame)) for i in range(len(result.instances))]
    return replace(
        row,
        ending=result.ending.value,
        error=error_of(result),
        message=result.failure["message"] if result.failure else "",
        turns=result.usage.turns,
        searches=result.usage.searches,
        frame=frame,
        cuts=tuple(Cut(result.instances[i].label, rle) for i, rle in rles if rle is not None),
        said=tuple(turn.text for turn in result.conversation if turn.role == "assistant"),
    )


def error_of(result: EpisodeResult) -> str:
    """Return what kept an episode from an answer: a boundary or an ending; "" if it answered."""
    if result.failure:
        return result.failure["boundary"]
    return "" if result.ending.answered else result.ending.value


async def open_context(spec: RunSpec, search: SearchProvider | None = None, *, policy: Policy | None = None) -> Context:
    """Return the context that all episodes of a run share; `search` is what the benchmark itself brings.

    `policy` takes the place of the one that the spec names.
    """
    return make_context(
        policy or await open_policy(spec.policy, spec.model, checkpoint=spec.checkpoint, device=spec.device),
        profile_for(spec.policy, spec.profile),
        segmenter=spec.segmenter,
        sam2_model=spec.sam2_model,
        search=choose_search(spec, search),
        device=spec.device,
    )


def choose_search(spec: RunSpec, own: SearchProvider | None) -> SearchProvider | None:
    """Return what a run looks things up in; InputError for an unknown name or a missing key."""
    if spec.search == NO_SEARCH:
        return None
    if spec.search is None and spec.kb is None:
        return own
    kb = None if spec.kb is None else Path(spec.kb)
    chosen = choose(SearchRequest(name=spec.search, kb=kb, cache=spec.search_cache), read_settings())
    if chosen.kb is None and chosen.web is None:
        raise InputError("there is nothing to search.", remedy="Name --kb DIR or --search NAME, or say --no-search.")
    return chosen.web if chosen.kb is None else KnowledgeBaseSearch(KnowledgeBase.open(chosen.kb))
