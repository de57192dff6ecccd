"""The quick player of training against the real graph, and what perception samples claim."""

import asyncio
import re

import numpy as np
import pytest

from evals.emblems.benchmark import make_tasks
from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.sprites import COLOURS, SHAPES
from evals.emblems.tasks import ABILITIES, EmblemTask, draw_task
from evals.emblems.world import make_world
from graphs.actions import Answer
from graphs.context import Context
from graphs.conversation import ImageRef, Turn
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, run_episode
from graphs.profiles import get_profile
from rl.sft.perception import clip_sample, emblem_sample, picture_sample
from rl.sft.samples import Pictures
from rl.sft.trajectories import MIX, Carelessness, Library, draw_trajectory, play

PROFILE = get_profile("embedded")


@pytest.fixture(scope="module")
def library() -> Library:
    return Library.draw(12)


def through_graph(task: EmblemTask, library: Library, search: EmblemSearch | None, guess: int) -> EpisodeResult:
    context = Context(
        policy=oracle_policy(task, library.world, frames=4, search=search is not None, guess=guess),
        dialect=PROFILE.make_dialect(),
        segmenter=ExactSegmenter(task.clip),
        search=search,
        budget=PROFILE.budget,
    )
    return asyncio.run(run_episode(Task(task.query, task.clip), context))


def pictures_of(turns: list[Turn] | tuple[Turn, ...]) -> list[str]:
    return [part.sha256 for turn in turns for part in turn.parts if isinstance(part, ImageRef)]


def assert_same(turns: list[Turn], pictures: Pictures, result: EpisodeResult) -> None:
    assert [turn.role for turn in turns] == [turn.role for turn in result.conversation]
    assert [turn.text for turn in turns] == [turn.text for turn in result.conversation]
    ours, theirs = pictures_of(turns), pictures_of(result.conversation)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(pictures.images[int(one)], result.images.get(other))


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize("frames", [16, 1])
def test_the_player_equals_the_graph(library: Library, ability: str, frames: int) -> None:
    search = EmblemSearch(library.world, library.knowledge)
    pictured = 0
    for seed in range(12 if frames > 1 else 3):
        task = draw_task(np.random.default_rng((seed, frames)), library.world, ability, "x", frames)  # type: ignore[arg-type]
        turns, pictures = play(task, library, PROFILE.make_dialect(), guess=1)
        result = through_graph(task, library, search, 1)
        assert result.ending is (Ending.ABSENT if ability == "absent" else Ending.FOUND)
        assert_same(turns, pictures, result)
        pictured += task.team is not None and task.team.pictured
    assert frames == 1 or ability == "in-video" or pictured > 0  # image search was among them


def test_the_player_equals_the_graph_without_search(library: Library) -> None:
    for seed in range(6):
        task = draw_task(np.random.default_rng(seed), library.world, "multi-hop", "x")
        turns, pictures = play(task, library, PROFILE.make_dialect(), search=False, guess=2)
        assert_same(turns, pictures, through_graph(task, library, None, 2))


def test_a_benchmark_task_is_played_as_in_training() -> None:
    library = Library(make_world("test", 3), Library.draw(3, 1000, "test").knowledge)
    (task,) = make_tasks("test", 3, 3)[2:]
    turns, pictures = play(task, library, PROFILE.make_dialect())
    assert_same(turns, pictures, through_graph(task, library, EmblemSearch(library.world, library.knowledge), 0))


def test_drawn_trajectories_are_seeded_and_end_in_an_answer(library: Library) -> None:
    dialect = PROFILE.make_dialect()
    assert sum(MIX.values()) == pytest.approx(1)
    for seed in range(30):
        turns, pictures = draw_trajectory(np.random.default_rng(seed), library, dialect)
        again, same = draw_trajectory(np.random.default_rng(seed), library, dialect)
        assert turns == again
        assert all(np.array_equal(a, b) for a, b in zip(pictures.images, same.images, strict=True))
        assert isinstance(dialect.parse(turns[-1].text), Answer)
        assert {turn.role for turn in turns[2::2]} == {"assistant"}
        assert {image.shape[0] for image in pictures.images} <= {128, 224, 448}


def test_perception_boxes_are_those_of_the_pixels() -> None:
    view = PROFILE.view
    for seed in range(10):
        turns, pictures = picture_sample(np.random.default_rng(seed), view)
        (picture,) = pictures.images
        assert picture.shape == (448, 448, 3)
        found = re.findall(r"(\w+) (\w+) (\w+) \[(\d+), (\d+), (\d+), (\d+)\]", turns[2].text)
        assert len(found) >= 3
        for pattern, colour, _, *numbers in found:
            x1, y1, x2, y2 = (round(int(v) * 0.448) for v in numbers)
            window = picture[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1].reshape(-1, 3).astype(int)
            own = np.abs(window - np.array(COLOURS[colour])).sum(1) < 12
            assert own.mean() > (0.15 if pattern == "plain" else 0.08)


def test_clip_and_emblem_samples() -> None:
    view, world = PROFILE.view, make_world("train", 1, 50)
    turns, pictures = clip_sample(np.random.default_rng(0), view)
    assert [image.shape[0] for image in pictures.images] == [view.frame_size] * view.frames
    left = turns[2].text.removeprefix("Left to right: ").rstrip(".").split(", ")
    top = turns[4].text.removeprefix("Top to bottom: ").rstrip(".").split(", ")
    assert sorted(left) == sorted(top)
    assert {turn.text.split(", ")[0].removeprefix("The ") for turn in turns[6::2]} <= set(left)
    turns, pictures = emblem_sample(np.random.default_rng(0), world, view)
    assert pictures.images[0].shape == (view.image_size, view.image_size, 3)
    assert turns[2].text.removeprefix("A ").rstrip(".") in {team.emblem.phrase for team in world.teams}


def test_a_mix_decides_which_abilities_are_drawn(library):
    dialect = PROFILE.make_dialect()
    queries = [draw_trajectory(np.random.default_rng(i), library, dialect, {"in-video": 1.0})[0] for i in range(20)]
    assert not any("text_search" in turn.text for turns in queries for turn in turns[2:])
    searched = [draw_trajectory(np.random.default_rng(i), library, dialect, {"multi-hop": 3.0})[0] for i in range(20)]
    assert sum(any("<search>" in turn.text for turn in turns[2:]) for turns in searched) > 15


def test_a_careless_demonstrator_searches_first_for_what_nothing_needs(library):
    dialect = PROFILE.make_dialect()
    told = [
        draw_trajectory(np.random.default_rng(i), library, dialect, {"in-video": 1.0}, Carelessness(0.5))[0]
        for i in range(40)
    ]
    searched = [turns for turns in told if "text_search" in turns[2].text]
    assert 10 <= len(searched) <= 30
    for turns in searched:
        assert "<information>" in turns[3].text
        assert isinstance(dialect.parse(turns[-1].text), Answer)
        assert not any("text_search" in turn.text for turn in turns[4:])
    # a conversation goes on behind it just as it would have begun
    task = draw_task(np.random.default_rng(5), library.world, "one-hop", "x")
    plain, _ = play(task, library, dialect)
    aside, _ = play(task, library, dialect, aside="red plain star")
    assert [turn.text for turn in aside[4:]] == [turn.text for turn in plain[2:]]


def test_a_careless_demonstrator_guesses_and_points_at_what_is_not_there(library):
    dialect = PROFILE.make_dialect()

    def told(ability, careless):
        draws = [
            draw_trajectory(np.random.default_rng(i), library, dialect, {ability: 1.0}, careless) for i in range(40)
        ]
        return [[turn.text for turn in turns[2:]] for turns, _ in draws]

    careful, hasty, bold = Carelessness(), Carelessness(hasty=0.5), Carelessness(bold=0.5)
    guesses = [sum("I cannot look it up" in texts[0] for texts in told("multi-hop", c)) for c in (careful, hasty)]
    assert guesses[0] <= 8  # some may not search
    assert 12 <= guesses[1] <= 32
    assert told("in-video", hasty) == told("in-video", careful)
    claims = [sum("It is not there" not in " ".join(texts) for texts in told("absent", c)) for c in (careful, bold)]
    assert claims[0] == 0
    assert 10 <= claims[1] <= 30


def test_a_tied_demonstrator_points_at_one_that_the_words_fit(library):
    dialect = PROFILE.make_dialect()
    draws = [
        draw_trajectory(np.random.default_rng(i), library, dialect, {"multi-hop": 1.0}, tied=0.5)[0] for i in range(40)
    ]
    asked = [re.findall(r"Please find '(.*)' in", turns[1].text)[0] for turns in draws]
    tied = [(query, turns[-1].text) for query, turns in zip(asked, draws, strict=True) if query.split()[-1] in SHAPES]
    assert 10 <= len(tied) <= 30
    for query, answer in tied:
        assert set(query.split()) - {"the"} <= set(re.findall(r"[a-z]+", answer))
