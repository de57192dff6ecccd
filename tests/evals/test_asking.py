"""Words that fit several objects: how such tasks are drawn, and how questions about them are counted."""

import numpy as np
import pytest

from evals.asking import measure, offered
from evals.emblems.tasks import EmblemTask
from evals.emblems.ties import draw_tie
from graphs.candidates import Clarify
from graphs.events import Choice
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights
from graphs.policies.local import LocalPolicy
from tools.segmenters.prompts import box_of


@pytest.fixture(scope="module")
def ties() -> list[tuple[EmblemTask, tuple[int, ...]]]:
    return [draw_tie(np.random.default_rng((4, i)), f"tied-{i}") for i in range(120)]


def test_the_words_fit_at_least_two_and_no_other(ties) -> None:
    for task, meant in ties:
        words = set(task.query.split()) - {"the"}
        fitting = [i for i, mover in enumerate(task.clip.movers) if words <= set(mover.emblem.phrase.split())]
        assert list(meant) == fitting
        assert len(meant) >= 2


def test_the_target_is_any_of_them(ties) -> None:
    places = [meant.index(task.target) for task, meant in ties if len(meant) == 2]
    assert 0.3 < np.mean(places) < 0.7
    assert {len(task.query.split()) for task, _ in ties} == {2, 3}


def test_the_same_seed_draws_the_same_tie(ties) -> None:
    assert draw_tie(np.random.default_rng((4, 7)), "tied-7") == ties[7]


def test_a_choice_is_the_object_that_its_box_fits(ties) -> None:
    task, meant = ties[0]
    seen = [(mover, box_of(task.clip.mask(3, mover))) for mover in meant]
    for mover, box in seen:
        assert box is not None
        assert offered(task.clip, Choice(1, 3, (box,), "", 1)) == mover
    assert offered(task.clip, Choice(1, 3, ((0.0, 0.0, 448.0, 448.0),), "", 1)) is None
    assert offered(task.clip, Choice(1, 3, (None,), "", 1)) is None
    assert offered(task.clip, Choice(1, None, (), "", 1)) is None


@pytest.mark.skipif(not has_weights(EMBEDDED_FOLDER), reason="no shipped weights")
@pytest.mark.slow
async def test_the_shipped_policy_is_asked_about_only_where_the_words_leave_it_open() -> None:
    told = await measure(LocalPolicy(EMBEDDED_FOLDER, name="embedded"), 10, 0, Clarify())
    assert told["tied"]["asked"] == told["tied"]["good"] >= 2
    assert told["single"]["asked"] == 0
