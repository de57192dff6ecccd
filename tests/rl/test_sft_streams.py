"""The batches of training: which one it is decides what is in it, not who renders it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from graphs.dialects.seg_research import SegResearch
from graphs.profiles import get_profile
from rl.sft.batches import Batch, Shape
from rl.sft.streams import Share, Stream

Take = Callable[..., list[Batch]]


@pytest.fixture(scope="module")
def stream(tiny_policy: Path) -> Stream:
    dialect = get_profile("embedded").make_dialect()
    assert isinstance(dialect, SegResearch)
    shape = Shape(rows=1, length=2400, trained=500, slots={448: 2, 224: 4, 128: 8})
    return Stream("trajectories", tiny_policy / "tokenizer.json", dialect, shape, "train", 7, jitter=1)


@pytest.fixture(scope="module")
def whole(stream: Stream) -> list[Batch]:
    """Ten batches, which see three worlds, by one process without workers."""
    return list(islice(stream, 10))


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """Take batches as worker `turn` of `workers` does, and others not at all."""

    def taken(stream: Stream, count: int, workers: int, turn: int) -> list[Batch]:
        info = SimpleNamespace(num_workers=workers, id=turn)
        with monkeypatch.context() as patch:
            patch.setattr("rl.sft.streams.get_worker_info", lambda: info)
            return list(islice(stream, count))

    return taken


def same(one: Batch, other: Batch) -> bool:
    pictures = one.images.keys() == other.images.keys() and all(
        torch.equal(picture, other.images[side]) for side, picture in one.images.items()
    )
    return pictures and torch.equal(one.ids, other.ids) and torch.equal(one.targets, other.targets)


def assert_same(taken: list[Batch], expected: list[Batch]) -> None:
    assert len(taken) == len(expected)
    assert [same(one, other) for one, other in zip(taken, expected, strict=True)] == [True] * len(taken)


def test_three_workers_render_what_one_does(stream: Stream, whole: list[Batch], take: Take) -> None:
    assert not any(same(one, other) for one, other in pairwise(whole))
    for turn in range(3):
        assert_same(take(stream, 3, 3, turn), whole[turn:9:3])


def test_processes_divide_the_batches_of_a_step_whatever_their_workers(
    stream: Stream, whole: list[Batch], take: Take
) -> None:
    of_one = replace(stream, share=Share(1, 2))
    assert_same(take(of_one, 2, 2, 0), whole[1:8:4])
    assert_same(take(of_one, 2, 2, 1), whole[3:8:4])
    assert_same(list(islice(of_one, 3)), whole[1:6:2])


def test_a_resumed_run_sees_the_batches_that_are_left(stream: Stream, whole: list[Batch], take: Take) -> None:
    assert_same(take(replace(stream, first=5), 2, 2, 1), whole[6:10:2])
