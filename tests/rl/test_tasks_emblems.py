import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from evals.emblems.benchmark import make_tasks
from evals.emblems.knowledge import world_knowledge
from evals.emblems.oracle import Oracle
from evals.emblems.tasks import ABILITIES
from graphs.actions import Answer, Search
from graphs.dialects.base import View
from graphs.dialects.seg_research import SegResearch
from rl.sft.trajectories import Library, play
from rl.tasks.emblems import DrawnClip, EmblemsSource
from rl.tasks.geometry import UNITS, largest_component
from tools.errors import InputError
from tools.media import sample_frames

VIEW = View(frames=4, frame_size=32, keyframe_size=32, image_size=16)
DIALECT = SegResearch(VIEW, prompt="compact")


@pytest.fixture(scope="module")
def source():
    return EmblemsSource("val", 3, 40)


def test_the_tasks_are_those_of_the_benchmark(source):
    for ours, theirs in zip(source, make_tasks("val", 3, 10), strict=False):
        assert (ours.id, ours.task.query, ours.ability) == (theirs.task_id, theirs.query, theirs.ability)
        assert np.array_equal(ours.task.media[7], theirs.clip[7])


def test_an_index_is_the_same_task_whatever_came_before():
    first = EmblemsSource("train", 1, 5)
    later = EmblemsSource("train", 1, 5000)
    later[11]
    for index in (4, 0, 2):
        assert first[index].truth == later[index].truth
        assert first[index].task.query == later[index].task.query
    assert first[-1].id == first[4].id
    with pytest.raises(IndexError):
        first[5]


def test_the_truth_is_measured_on_the_frames_shown(source):
    for task in source:
        assert task.truth.absent == (task.ability == "absent")
        assert set(task.truth.frames) <= set(sample_frames(16, 4))
        counts, parts = {}, {}
        for frame, truth in task.truth.frames.items():
            (mask,) = task.masks(frame)
            rows, columns = np.nonzero(mask)
            exact = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / mask.shape[0] * UNITS
            (thing,) = truth.objects
            assert np.abs(exact - thing.box).max() <= 0.5
            assert mask[int(thing.point[1] * 448 / UNITS), int(thing.point[0] * 448 / UNITS)]
            counts[frame], parts[frame] = mask.sum(), largest_component(mask)
        for frame, truth in task.truth.frames.items():
            assert truth.area == counts[frame] / max(counts.values())
            assert truth.max_conn_area == parts[frame] / max(parts.values())
        hidden = set(sample_frames(16, 4)) - set(task.truth.frames)
        assert all(task.masks(frame) == () for frame in hidden)


def test_a_target_that_no_shown_frame_shows_is_not_absent(source, monkeypatch):
    whole, shown = DrawnClip.mask, sample_frames(16, 4)
    monkeypatch.setattr(DrawnClip, "mask", lambda clip, frame, mover: whole(clip, frame, mover) & (frame not in shown))
    present, absent = source[0], source[4]
    assert set(present.truth.frames) == {frame for frame in range(16) if present.masks(frame)}
    assert present.truth.frames
    assert absent.truth.absent


def test_the_oracles_own_answer_is_the_truth(source):
    for index in range(len(source)):
        drawn, task = source.draw(index), source[index]
        if drawn.team is None and drawn.target is not None:
            oracle = Oracle(drawn, source.world, sample_frames(16, 4))
            look, answer = DIALECT.parse(oracle.turn("")), DIALECT.parse(oracle.turn(""))
            assert isinstance(answer, Answer)
            (said,) = answer.targets
            (true,) = task.truth.frames[look.frame].objects
            assert np.allclose(np.multiply(said.box, UNITS), true.box)
            assert np.allclose(np.multiply(said.points[0], UNITS), true.point)


def test_the_steps_are_what_the_oracle_searched(source):
    library = Library(source.world, world_knowledge(source.world))
    for index in range(25):
        turns, _ = play(source.draw(index), library, DIALECT)
        actions = [DIALECT.parse(turn.text) for turn in turns if turn.role == "assistant"]
        searched = tuple(action.queries[0].query for action in actions if isinstance(action, Search))
        assert source[index].truth.steps == searched


def test_weights_choose_the_abilities():
    source = EmblemsSource("train", 0, 300, weights={"one-hop": 3, "absent": 1})
    drawn = Counter(source.draw(i).ability for i in range(300))
    assert set(drawn) == {"one-hop", "absent"}
    assert 180 < drawn["one-hop"] < 270
    assert [source.draw(i).ability for i in range(20)] == [
        EmblemsSource("train", 0, 20, weights={"one-hop": 3, "absent": 1}).draw(i).ability for i in range(20)
    ]


@pytest.mark.parametrize("weights", [{"flying": 1.0}, {}, {"one-hop": 0.0}, {"one-hop": -1.0, "absent": 3.0}])
def test_weights_that_cannot_be_drawn_by_are_refused(weights):
    with pytest.raises(InputError, match="weights"):
        EmblemsSource(weights=weights)


@pytest.mark.parametrize("arguments", [("dev", 0, 1), ("train", -1, 1), ("train", 0, 0)])
def test_a_bad_split_seed_or_number_is_refused(arguments):
    with pytest.raises(InputError):
        EmblemsSource(*arguments)


def test_a_task_travels_to_a_worker_and_is_read_by_many_threads(source):
    task = pickle.loads(pickle.dumps(source[0]))
    expected = [task.task.media[frame] for frame in range(16)]
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(task.task.media.__getitem__, list(range(16)) * 4))
    assert all(np.array_equal(image, expected[i % 16]) for i, image in enumerate(images))
    assert set(ABILITIES) == {source.draw(i).ability for i in range(5)}
