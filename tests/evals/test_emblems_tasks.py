"""Clips and tasks: the same for the same seed, exact masks, and what each ability promises."""

import re

import numpy as np
import pytest

from evals.emblems.benchmark import benchmark_world, make_tasks
from evals.emblems.clips import make_clip
from evals.emblems.knowledge import world_knowledge
from evals.emblems.oracle import box_of as normalised_box
from evals.emblems.oracle import clearest_frame, inner_point
from evals.emblems.sprites import COLOURS, PATTERNS, SHAPES, sprite
from evals.emblems.tasks import ABILITIES, EmblemTask, draw_task, shown_frames
from evals.emblems.world import ALL_EMBLEMS, make_world
from tools.errors import InputError
from tools.media import sample_frames

ATTRIBUTES = ("shape", "colour", "pattern")
SEED = 31


@pytest.fixture(scope="module")
def tasks() -> list[EmblemTask]:
    return make_tasks("test", SEED, 400)


def of(tasks: list[EmblemTask], *abilities: str) -> list[EmblemTask]:
    return [task for task in tasks if task.ability in abilities]


def test_the_same_seed_draws_the_same_tasks_and_pixels() -> None:
    one, again, longer = make_tasks("val", 8, 10), make_tasks("val", 8, 10), make_tasks("val", 8, 15)
    assert one == again == longer[:10]
    assert [task.ability for task in one] == 2 * list(ABILITIES)
    for task, twin in zip(one, again, strict=True):
        for frame in (0, 9, 15):
            assert np.array_equal(task.clip.again().render(frame)[0], twin.clip.render(frame)[0])
            assert np.array_equal(task.clip.render(frame)[1], twin.clip.render(frame)[1])


def test_other_seeds_and_splits_draw_others() -> None:
    sets = [make_tasks(split, seed, 10) for split, seed in (("val", 8), ("val", 9), ("test", 8))]  # type: ignore[arg-type]
    for number in range(10):
        several = [some[number] for some in sets]
        assert len({task.query for task in several if task.team}) == sum(task.team is not None for task in several)
        assert len({task.clip[0].tobytes() for task in several}) == 3
        assert len({task.task_id for task in several}) == 3


def test_what_cannot_be_drawn_is_refused() -> None:
    for split, seed, n in (("dev", 0, 1), ("test", -1, 1), ("test", 0, 0)):
        with pytest.raises(InputError):
            make_tasks(split, seed, n)  # type: ignore[arg-type]


def test_masks_and_pixels_are_those_of_a_slow_painter(tasks: list[EmblemTask]) -> None:
    for task in tasks[:6]:
        for frame in (0, 7, 15):
            picture, ids = task.clip.render(frame)
            owner = np.full((448, 448), -1)
            colour = np.full((448, 448, 3), -1)  # unknown where an edge mixes
            for number, mover in enumerate(task.clip.movers):
                colours, alpha = sprite(mover.emblem, mover.size, mover.turned(frame))
                cx, cy = mover.centre(frame)
                for y, x in np.argwhere(alpha > 0):
                    row, column = round(cy - mover.size / 2) + y, round(cx - mover.size / 2) + x
                    if 0 <= row < 448 and 0 <= column < 448:
                        owner[row, column] = number if alpha[y, x] >= 0.5 else owner[row, column]
                        colour[row, column] = colours[y, x] if alpha[y, x] == 1 else -1
            assert np.array_equal(owner, ids)
            known = (colour >= 0).all(-1)
            assert known.sum() > 2000
            assert np.array_equal(picture[known], colour[known])
            for number in range(len(task.clip.movers)):
                assert np.array_equal(task.clip.mask(frame, number), owner == number)


def test_emblems_stay_in_view(tasks: list[EmblemTask]) -> None:
    for task in tasks[:100]:
        centres = task.clip.centres(range(16))
        assert (centres > 20).all()
        assert (centres < 428).all()


def test_casts_have_distractors_that_share_two_of_three_attributes(tasks: list[EmblemTask]) -> None:
    for task in tasks:
        emblems = [mover.emblem for mover in task.clip.movers]
        assert 4 <= len(emblems) <= 6
        assert len(set(emblems)) == len(emblems)
        shared = [sum(getattr(e, a) == getattr(task.emblem, a) for a in ATTRIBUTES) for e in emblems]
        assert shared.count(2) >= 1
        assert shared.count(3) == (task.anchor is not None)


def test_targets_and_teams(tasks: list[EmblemTask]) -> None:
    for task in tasks:
        if task.team is not None:
            assert task.emblem == task.team.emblem
        if task.anchor is not None:
            assert task.clip.movers[task.anchor].emblem == task.emblem
        assert (task.target is None) == (task.ability == "absent")
        assert (task.relation is not None) == (task.ability == "relational") == (task.target != task.anchor)
    assert {task.bridge is None for task in of(tasks, "multi-hop")} == {False}
    assert {task.team is None for task in of(tasks, "in-video")} == {True}
    assert {task.team is None for task in of(tasks, "absent")} == {True, False}


def test_absent_emblems_are_in_no_frame(tasks: list[EmblemTask]) -> None:
    for task in of(tasks, "absent"):
        assert task.emblem not in [mover.emblem for mover in task.clip.movers]


def test_in_video_queries_fit_exactly_one_object(tasks: list[EmblemTask]) -> None:
    for task in of(tasks, "in-video"):
        asked = set(task.query.removeprefix("the ").split())
        fitting = [i for i, m in enumerate(task.clip.movers) if asked <= set(m.emblem.phrase.split())]
        assert fitting == [task.target]


def test_queries_that_need_a_search_say_nothing_of_the_emblem(tasks: list[EmblemTask]) -> None:
    words = {*SHAPES, *COLOURS, *PATTERNS}
    for task in tasks:
        said = set(re.findall(r"\w+", task.query.lower()))
        if task.relation:
            said -= {"shape", "colour", "pattern"}
        if task.team is not None:
            assert not said & words
            assert (task.team.name in task.query) == (task.bridge is None)
        if task.bridge is not None:
            assert task.bridge.description in task.query


def test_relations_hold_in_every_frame_and_for_one_object_alone(tasks: list[EmblemTask]) -> None:
    seen = set()
    for task in of(tasks, "relational"):
        assert task.anchor is not None
        seen.add(task.relation)
        movers = task.clip.movers
        fitting = {i for i in range(len(movers)) if i != task.anchor and _always(task, i)}
        ever = {i for i in range(len(movers)) if i != task.anchor and _ever(task, i)}
        assert fitting == ever == {task.target}
    assert len(seen) == 7


def _holds(task: EmblemTask, mover: int, frame: int, slack: float) -> bool:
    assert task.anchor is not None
    assert task.relation is not None
    one, anchor = task.clip.movers[mover], task.clip.movers[task.anchor]
    (x, y), (ax, ay) = one.centre(frame), anchor.centre(frame)
    if task.relation.startswith("of the same"):
        attribute = task.relation.split()[3]
        return bool(getattr(one.emblem, attribute) == getattr(anchor.emblem, attribute))
    ahead = {"left of": ax - x, "right of": x - ax, "above": ay - y, "below": y - ay}[task.relation]
    return ahead > slack


def _always(task: EmblemTask, mover: int) -> bool:
    return all(_holds(task, mover, frame, 14) for frame in range(16))


def _ever(task: EmblemTask, mover: int) -> bool:
    return any(_holds(task, mover, frame, -14) for frame in range(16))


def test_targets_are_well_seen_in_a_shown_frame(tasks: list[EmblemTask]) -> None:
    for task in tasks[:150]:
        if task.target is None:
            continue
        best = clearest_frame(task.clip, shown_frames(16), task.target)
        alpha = sprite(task.clip.movers[task.target].emblem, task.clip.movers[task.target].size, 0)[1]
        assert task.clip.mask(best, task.target).sum() > 0.6 * (alpha >= 0.5).sum()


def test_the_oracle_points_inside() -> None:
    clip = make_clip(np.random.default_rng(4), ALL_EMBLEMS[::40], 4)
    for frame in range(4):
        for mover in range(len(clip.movers)):
            mask = clip.mask(frame, mover)
            if mask.sum() < 30:
                continue
            x1, y1, x2, y2 = (v * 448 for v in normalised_box(mask))
            assert mask[int(y1 + 0.5) : int(y2 + 0.5), int(x1 + 0.5) : int(x2 + 0.5)].sum() == mask.sum()
            x, y = inner_point(mask)
            assert mask[int(y * 448), int(x * 448)]


def test_the_policy_is_shown_the_frames_that_it_was_trained_on() -> None:
    for count in range(1, 60):
        assert shown_frames(count) == sample_frames(count, 4)


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_real_knowledge_base_finds_the_facts_within_two_results(split: str) -> None:
    tasks = make_tasks(split, SEED, 1000)  # type: ignore[arg-type]
    knowledge = world_knowledge(benchmark_world(split, SEED))  # type: ignore[arg-type]
    hits: dict[str, list[bool]] = {}
    for task in tasks:
        if task.team is None:
            continue
        found = True
        if task.bridge:
            texts = knowledge.search_text(task.bridge.description, 2)
            said = "team that won the" in task.bridge.description
            asked = task.bridge.description.rpartition("the ")[2].split() if said else []
            found &= any(task.team.name in hit.snippet and all(word in hit.title for word in asked) for hit in texts)
        question = f"emblem of the {task.team.name}"
        texts = knowledge.search_text(question, 2)
        found &= any(hit.title == f"Emblem of the {task.team.name}" for hit in texts)
        if task.team.pictured:
            found &= knowledge.match_images(question, 1)[0].record.name == task.team.name
        hits.setdefault(task.ability, []).append(found)
    assert set(hits) == set(ABILITIES) - {"in-video"}
    for ability, some in hits.items():
        assert np.mean(some) >= 0.98, ability


def test_nothing_in_a_clip_tells_which_object_is_asked_for() -> None:
    """A guesser that knows how casts are made (the best connected object) is right as often as any other guesser."""
    world = make_world("val", 5, 60)
    right, expected, spread = 0, 0.0, 0.0
    for number in range(600):
        task = draw_task(np.random.default_rng((7, number)), world, "one-hop", "")
        emblems = [mover.emblem for mover in task.clip.movers]
        shared = [[sum(getattr(a, n) == getattr(b, n) for n in ATTRIBUTES) == 2 for b in emblems] for a in emblems]
        degrees = np.array(shared).sum(axis=1)
        best = np.flatnonzero(degrees == degrees.max())
        right += int(np.random.default_rng(number).choice(best)) == task.anchor
        expected += 1 / len(emblems)
        spread += (1 / len(emblems)) * (1 - 1 / len(emblems))
    assert abs(right - expected) < 3.5 * np.sqrt(spread)
