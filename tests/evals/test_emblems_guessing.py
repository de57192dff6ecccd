"""The guesser that looks nothing up: what relations give away, and what nothing does."""

from collections import defaultdict

import numpy as np
import pytest

from evals.emblems.benchmark import make_tasks
from evals.emblems.clips import Clip, Mover
from evals.emblems.guessing import guess_chance
from evals.emblems.scoring import truth_of
from evals.emblems.sprites import Emblem
from evals.emblems.tasks import EmblemTask

SEED = 77


def task(relation: str | None, target: int | None, *emblems: tuple[str, str, str]) -> EmblemTask:
    """Emblems that stand still in a row, falling from left to right."""
    places = [(60.0 + 90 * i, 60.0 + 90 * i) for i in range(len(emblems))]
    movers = tuple(Mover(Emblem(*e), 60, place, (0.0, 0.0), 0.0, 0.0) for e, place in zip(emblems, places, strict=True))
    looked_up = Emblem(*emblems[0])
    return EmblemTask("", "relational", "", Clip(movers, 0), 0, target, looked_up, None, None, relation)


ROW = (("ring", "red", "plain"), ("star", "red", "plain"), ("star", "blue", "plain"), ("drop", "blue", "dotted"))


@pytest.mark.parametrize(("relation", "target"), [("left of", 0), ("right of", 3), ("above", 0), ("below", 3)])
def test_the_outermost_object_on_the_side_asked_for_needs_no_lookup(relation: str, target: int) -> None:
    assert guess_chance(task(relation, target, *ROW), {0, 1, 2, 3}) == 1.0
    assert guess_chance(task(relation, 1, *ROW), {0, 1, 2, 3}) == 0.0
    assert guess_chance(task("left of", 1, *ROW), {1, 2, 3}) == 1.0  # what is never seen is not outermost


@pytest.mark.parametrize(("attribute", "chance"), [("shape", 1 / 2), ("colour", 1 / 4), ("pattern", 0.0)])
def test_a_shared_attribute_leaves_only_members_of_exact_pairs(attribute: str, chance: float) -> None:
    assert guess_chance(task(f"of the same {attribute} as", 1, *ROW), {0, 1, 2, 3}) == chance


def test_without_a_relation_every_visible_object_is_as_likely() -> None:
    assert guess_chance(task(None, 1, *ROW), {0, 1, 3}) == 1 / 3
    assert guess_chance(task(None, 2, *ROW), {0, 1, 3}) == 0.0
    assert guess_chance(task(None, None, *ROW), {0, 1, 3}) == 0.0


def test_on_the_benchmark_relations_give_nearly_everything_away() -> None:
    chances: dict[str, list[float]] = defaultdict(list)
    for one in make_tasks("test", SEED, 250):
        chance = guess_chance(one, truth_of(one)[1])
        kind = "same" if one.relation and "same" in one.relation else "side" if one.relation else one.ability
        chances[kind].append(chance)
    assert np.mean(chances["side"]) > 0.95
    assert 0.25 < np.mean(chances["same"]) < 0.55
    assert 0.16 < np.mean(chances["one-hop"]) < 0.26
    assert set(chances["absent"]) == {0.0}
