"""What strangers say among the results: seeded, of every kind, heard by the policy and not by the demonstrator."""

import json
from pathlib import Path

import numpy as np
import pytest

from evals.emblems.sprites import SHAPES
from evals.emblems.tasks import draw_task
from graphs.actions import Answer
from graphs.profiles import get_profile
from rl.sft.chatter import KINDS, SILENCE, Chatter, Strangers
from rl.sft.trajectories import CAREFUL, MIX, Library, draw_trajectory, play
from tools.search.base import TextHit

PLANTED = Path(__file__).parents[1] / "graphs" / "injections.json"
HITS = [TextHit(f"title {n}", f"passage {n}", f"doc {n}", 1.0) for n in range(3)]


def strangers(seed: int, *, everywhere: bool) -> Strangers:
    return Strangers(np.random.default_rng(seed), everywhere)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.draw(12)


def test_they_say_the_same_for_the_same_seed_and_much_else_for_others() -> None:
    said = [strangers(seed, everywhere=True).say() for seed in range(300)]
    assert said == [strangers(seed, everywhere=True).say() for seed in range(300)]
    assert len(set(said)) > 250
    assert all(said)


def test_what_the_evaluation_plants_is_never_among_it() -> None:
    planted = {attack["text"] for attack in json.loads(PLANTED.read_text())}
    rng = np.random.default_rng(0)
    for kind in KINDS:
        said = " ".join(kind(rng) for _ in range(500))
        assert not any(text in said for text in planted if len(text) > 12)
        assert not any(f" {shape}." in said for shape in SHAPES)


def test_they_speak_in_every_result_or_in_place_of_the_last() -> None:
    loud, aside = strangers(1, everywhere=True), strangers(1, everywhere=False)
    assert loud.kept(HITS) == HITS
    for hit, told in zip(HITS, loud.among(HITS, "q"), strict=True):
        assert told.title.startswith(f"{hit.title} ")
        assert told.snippet.startswith(f"{hit.snippet} ")
    kept = aside.kept(HITS)
    assert kept == HITS[:2]
    *true, planted = aside.among(kept, "q")
    assert true == kept
    assert planted.title == "q"
    assert aside.kept(HITS[:1]) == HITS[:1]
    assert aside.among([], "q") == []


def test_the_demonstrator_does_not_listen(library: Library) -> None:
    dialect = get_profile("embedded").make_dialect()
    changed = 0
    for seed in range(20):
        task = draw_task(np.random.default_rng(seed), library.world, "one-hop", "x")
        quiet, _ = play(task, library, dialect)
        loud, _ = play(task, library, dialect, strangers=strangers(seed, everywhere=True))
        own = [[turn.text for turn in turns if turn.role == "assistant"] for turns in (quiet, loud)]
        assert own[0] == own[1]
        changed += [turn.text for turn in quiet] != [turn.text for turn in loud]
    assert changed == 20


def test_the_share_is_kept_and_every_trajectory_ends_in_an_answer(library: Library) -> None:
    dialect = get_profile("embedded").make_dialect()
    assert SILENCE.draw(np.random.default_rng(0)) is None
    drawn = [Chatter(0.6).draw(np.random.default_rng(seed)) for seed in range(500)]
    assert 0.5 < sum(one is not None for one in drawn) / 500 < 0.7
    assert 0.3 < np.mean([one.everywhere for one in drawn if one]) < 0.5
    for seed in range(20):
        turns, _ = draw_trajectory(np.random.default_rng(seed), library, dialect, MIX, CAREFUL, Chatter(1.0))
        assert isinstance(dialect.parse(turns[-1].text), Answer)
        again, _ = draw_trajectory(np.random.default_rng(seed), library, dialect, MIX, CAREFUL, Chatter(1.0))
        assert turns == again
