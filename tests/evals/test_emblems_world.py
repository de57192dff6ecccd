"""Worlds: drawn from the seed alone, split by name, and found again through the real knowledge base."""

import asyncio
import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from evals.emblems.knowledge import (
    PICTURE_SIDE,
    EmblemSearch,
    emblem_picture,
    world_knowledge,
    world_records,
    write_knowledge_base,
)
from evals.emblems.names import MASCOTS, SPLITS, Split, draw_names, names_of, split_of
from evals.emblems.sprites import COLOURS, PATTERNS, SHAPES
from evals.emblems.world import World, make_world
from tools.errors import InputError
from tools.knowledge import KnowledgeBase
from tools.media import resize_square
from tools.media.base import Limits
from tools.media.images import decode_file


@pytest.fixture(scope="module")
def world() -> World:
    return make_world("test", 5)


def invented_words(world: World) -> set[str]:
    words = {word for team in world.teams for word in (team.town, team.sponsor, *team.founder.split())}
    words |= {team.name.split()[0] for team in world.teams}
    return words | {cup.name.split()[1] for cup in world.cups}


def test_a_world_depends_on_split_and_seed_alone() -> None:
    one, again, other, elsewhere = (make_world(s, n, 60) for s, n in (("val", 3), ("val", 3), ("val", 4), ("test", 3)))
    assert one == again
    assert list(one.records()) == list(again.records())
    assert len({tuple(t.name for t in w.teams) for w in (one, other, elsewhere)}) == 3
    assert one.teams != other.teams


def test_no_name_of_one_split_is_in_another() -> None:
    for one, other in combinations(SPLITS, 2):
        assert not set(names_of(one)) & set(names_of(other))
    worlds = {split: [make_world(split, seed) for seed in range(3)] for split in SPLITS}
    for split, some in worlds.items():
        for world in some:
            assert {split_of(word) for word in invented_words(world)} == {split}
    assert sum(map(len, map(names_of, SPLITS))) > 40_000
    assert not set(MASCOTS) & {name for split in SPLITS for name in names_of(split)}
    with pytest.raises(InputError, match="no Emblems split"):
        names_of("dev")  # type: ignore[arg-type]
    drawn = draw_names(np.random.default_rng(0), "val", 500)
    assert len(set(drawn)) == 500


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_5000_texts_and_a_picture_of_each_emblem(split: Split) -> None:
    world = make_world(split, 0)
    texts, images = world_records(world)
    assert len(texts) >= 5000
    assert [image.name for image in images] == [team.name for team in world.teams]
    assert len({team.name for team in world.teams}) == len({text.title for text in texts}) / 5.2 == 1000
    bodies = {text.title: text.body for text in texts}
    for team in world.teams:
        body = bodies[f"Emblem of the {team.name}"]
        assert team.name in body
        assert (team.emblem.phrase in body) != team.pictured
        if team.pictured:
            assert not set(body.split()) & {*SHAPES, *COLOURS, *PATTERNS}
    assert 0.1 < np.mean([team.pictured for team in world.teams]) < 0.2


def test_distractor_records_have_similar_names(world: World) -> None:
    places = [team.name.split()[0] for team in world.teams]
    mascots = [team.name.split()[1] for team in world.teams]
    assert np.mean([places.count(p) > 1 for p in places]) > 0.7
    assert min(mascots.count(m) for m in mascots) > 5


def test_a_picture_reaches_the_policy_as_training_draws_it(world: World) -> None:
    search = EmblemSearch(world)
    for number in (0, 17, 999):
        (hit,) = asyncio.run(search.search_images(f"emblem of the {world.teams[number].name}", 1))
        assert hit.name == world.teams[number].name
        shown = resize_square(decode_file(hit.path, Limits()), PICTURE_SIDE)
        assert shown.dtype == np.uint8
        assert np.array_equal(shown, emblem_picture(world, number, PICTURE_SIDE))
    folder = hit.path.parent
    assert len(list(folder.iterdir())) == 3
    del search
    assert not folder.exists()


def test_pictures_can_be_asked_for_concurrently(world: World) -> None:
    search = EmblemSearch(world)

    async def all_at_once() -> list[Path]:
        hits = await asyncio.gather(*(search.search_images(world.teams[n % 7].name, 1) for n in range(40)))
        return [hit.path for (hit,) in hits]

    assert len(set(asyncio.run(all_at_once()))) == 7


def test_written_and_read_back_it_finds_the_same(tmp_path: Path, world: World) -> None:
    folder = tmp_path / "kb"
    assert write_knowledge_base(folder, "test", 5) == world
    opened, memory = KnowledgeBase.open(folder), world_knowledge(world)
    assert (opened.texts, opened.images) == (memory.texts, memory.images)
    assert len(json.loads((folder / "image_corpus.jsonl").read_text().split("\n")[0])) == 4
    rng = np.random.default_rng(0)
    for number in rng.integers(1000, size=40):
        team = world.teams[number]
        for query in (
            f"emblem of the {team.name}",
            f"the team from {team.town}",
            f"the team that {team.founder} founded",
        ):
            assert opened.search_text(query, 3) == memory.search_text(query, 3)
        (found,) = opened.search_images(team.name, 1)
        assert found.path == (folder / "images" / f"{number}.png").resolve()
        assert np.array_equal(decode_file(found.path, Limits()), emblem_picture(world, int(number)))
    with pytest.raises(InputError, match="there already"):
        write_knowledge_base(folder, "test", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["kb"]


def test_a_knowledge_base_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evals.emblems.knowledge._write_png", lambda image, path: 1 / 0)
    with pytest.raises(Exception, match="cannot be written"):
        write_knowledge_base(tmp_path / "kb", "val", 0, 30)
    assert not list(tmp_path.iterdir())
