"""Stage two: whole trajectories of the oracle, with real retrieval; observations are never trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evals.emblems.knowledge import emblem_picture, world_knowledge
from evals.emblems.names import Split
from evals.emblems.oracle import Oracle, OracleLostError
from evals.emblems.tasks import ABILITIES, Ability, EmblemTask, draw_task, shown_frames
from evals.emblems.ties import draw_tie
from evals.emblems.world import World, make_world
from graphs.actions import LookCloser, Search
from graphs.conversation import Turn
from graphs.dialects.base import Dialect, ShownFrame, ShownImage
from graphs.dialects.seg_research import search_turn
from rl.sft.chatter import SILENCE, Chatter, Strangers
from rl.sft.samples import Pictures, said
from tools.knowledge import KnowledgeBase
from tools.media import resize_square

MIX: dict[Ability, float] = {"in-video": 0.16, "one-hop": 0.24, "multi-hop": 0.22, "relational": 0.22, "absent": 0.16}
"""How often each ability is drawn."""
SINGLE_IMAGE_SHARE = 0.08
NO_SEARCH_SHARE = 0.05
RESULTS = 2


@dataclass(frozen=True)
class Library:
    """A world with its knowledge base; small, and drawn anew often, so that facts cannot be memorised."""

    world: World
    knowledge: KnowledgeBase

    @staticmethod
    def draw(seed: int, teams: int = 200, split: Split = "train") -> "Library":
        """Draw a world of a split and index its records."""
        world = make_world(split, seed, teams)
        return Library(world, world_knowledge(world))


@dataclass(frozen=True)
class Carelessness:
    """How careless the demonstrator is, for a start in which reinforcement learning has something to mend.

    Each is the share of those trajectories in which the fault can be made: a `needless` first search, a `hasty` guess
    where it would take two look-ups to know, a `bold` answer where nothing of the kind is there.
    """

    needless: float = 0.0
    hasty: float = 0.0
    bold: float = 0.0


CAREFUL = Carelessness()


def draw_trajectory(
    rng: np.random.Generator,
    library: Library,
    dialect: Dialect,
    mix: Mapping[Ability, float] = MIX,
    careless: Carelessness = CAREFUL,
    chatter: Chatter = SILENCE,
    tied: float = 0.0,
) -> tuple[list[Turn], Pictures]:
    """Draw a task and let the oracle play it; tasks whose fact search does not return are drawn again.

    In a share `tied` of them the words fit several objects, and the demonstrator points at one of these at random.
    """
    weights = np.array([mix.get(ability, 0.0) for ability in ABILITIES])

    def happens(share: float) -> bool:
        return share > 0 and bool(rng.random() < share)

    while True:
        ability = ABILITIES[int(rng.choice(len(ABILITIES), p=weights / weights.sum()))]
        frames = 1 if rng.random() < SINGLE_IMAGE_SHARE else 16
        task = draw_tie(rng, "", frames)[0] if happens(tied) else draw_task(rng, library.world, ability, "", frames)
        ability = task.ability
        search = bool(rng.random() >= NO_SEARCH_SHARE) or (task.team is not None and ability == "absent")
        guess = int(rng.integers(len(task.clip.movers)))
        aside = task.clip.movers[guess].emblem.phrase if search and happens(careless.needless) else ""
        hasty = search and task.bridge is not None and happens(careless.hasty)
        if task.target is None and happens(careless.bold):
            task = replace(task, target=guess)
        strangers = chatter.draw(rng) if search else None
        try:
            return play(
                task, library, dialect, search=search, guess=guess, aside=aside, hasty=hasty, strangers=strangers
            )
        except OracleLostError:
            continue


def play(
    task: EmblemTask,
    library: Library,
    dialect: Dialect,
    *,
    search: bool = True,
    guess: int = 0,
    aside: str = "",
    hasty: bool = False,
    strangers: Strangers | None = None,
) -> tuple[list[Turn], Pictures]:
    """Play a task as the graph would, without the graph's machinery; returns the conversation and its pictures.

    With `aside` it first searches for that, which no task needs; a `hasty` demonstrator guesses although it may search.
    What `strangers` say among the results is shown to the policy, but the demonstrator does not listen.
    A test holds this against the graph itself: same turns, same pictures.
    """
    view, pictures = dialect.view, Pictures()
    frames = shown_frames(len(task.clip), view.frames)
    shown = [ShownFrame(f, pictures.put(resize_square(task.clip[f], view.frame_size))) for f in frames]
    oracle = Oracle(task, library.world, frames, search=search and not hasty, guess=guess)
    turns = [said("system", dialect.system(search=search)), said("user", *dialect.task(task.query, shown))]
    heard = ""
    while True:
        text = search_turn("I look around first.", "text_search", aside) if aside else oracle.turn(heard)
        aside = ""
        turns.append(said("assistant", text))
        action = dialect.parse(text)
        if isinstance(action, Search):
            query = action.queries[0]
            if query.tool == "text_search":
                hits = library.knowledge.search_text(query.query, RESULTS)
                kept = strangers.kept(hits) if strangers else hits
                parts = dialect.text_results(strangers.among(kept, query.query) if strangers else kept)
                heard = said("user", *dialect.text_results(kept)).text
            else:
                found = _pictures_of(library, query.query, pictures, view.image_size)
                parts = dialect.image_results(strangers.under(found) if strangers else found)
                heard = said("user", *dialect.image_results(found)).text
        elif isinstance(action, LookCloser):
            image = resize_square(task.clip[action.frame], view.keyframe_size)
            parts = dialect.keyframe(ShownFrame(action.frame, pictures.put(image)))
            heard = said("user", *parts).text
        else:
            return turns, pictures
        turns.append(said("user", *parts))


def _pictures_of(library: Library, query: str, pictures: Pictures, side: int) -> Sequence[ShownImage]:
    return [
        ShownImage(match.record.name, pictures.put(emblem_picture(library.world, int(match.record.id), side)))
        for match in library.knowledge.match_images(query, 1)
    ]
