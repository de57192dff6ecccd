"""Draw tasks: a clip, a query, and the ground truth with the facts that lead to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from evals.emblems.clips import FRAMES, Clip, make_clip
from evals.emblems.sprites import Emblem
from evals.emblems.world import ALL_EMBLEMS, Team, World

Ability = Literal["in-video", "one-hop", "multi-hop", "relational", "absent"]
ABILITIES: tuple[Ability, ...] = get_args(Ability)
Relation = Literal["left of", "right of", "above", "below"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
_ATTRIBUTES = ("shape", "colour", "pattern")
_CLEAR_PIXELS = 14
"""A relation must hold by at least this many pixels in every frame."""


@dataclass(frozen=True)
class Bridge:
    """The first hop of a multi-hop task: the description of a team, which a search resolves to the team."""

    description: str


@dataclass(frozen=True)
class EmblemTask:
    """One task with its ground truth.

    `anchor` is the mover that bears the looked-up emblem, `target` the mover to cut out (the same unless the task is
    relational); both None if the object is absent.
    """

    task_id: str
    ability: Ability
    query: str
    clip: Clip
    anchor: int | None
    target: int | None
    emblem: Emblem
    team: Team | None
    bridge: Bridge | None
    relation: str | None


def draw_task(
    rng: np.random.Generator, world: World, ability: Ability, task_id: str, frames: int = FRAMES
) -> EmblemTask:
    """Draw a task of an ability; deterministic in the state of `rng`."""
    if ability == "relational":
        return _relational(rng, world, task_id, frames)
    hops = {"in-video": 0, "one-hop": 1, "multi-hop": 2, "absent": int(rng.choice([0, 1, 1, 2]))}[ability]
    present = ability != "absent"
    team = world.teams[int(rng.integers(len(world.teams)))] if hops else None
    emblem = team.emblem if team else ALL_EMBLEMS[int(rng.integers(len(ALL_EMBLEMS)))]
    emblems, anchor = _cast(rng, emblem, present=present)
    clip = _visible_clip(rng, emblems, anchor, frames)
    bridge = _bridge(rng, world, team) if team and hops == 2 else None
    if team is None:
        # Worded alike whether it is there or not: as few words as single it out, or rule out all that are there.
        query = f"the {_short_phrase(rng, emblem, [e for e in emblems if e != emblem])}"
    else:
        query = _about(rng, team, bridge)
    return EmblemTask(task_id, ability, query, clip, anchor, anchor, emblem, team, bridge, None)


def _relational(rng: np.random.Generator, world: World, task_id: str, frames: int) -> EmblemTask:
    """Draw a clip in which exactly one object stands in a relation to the looked-up emblem throughout."""
    team = world.teams[int(rng.integers(len(world.teams)))]
    bridge = _bridge(rng, world, team) if rng.random() < 0.2 else None
    while True:
        emblems, anchor = _cast(rng, team.emblem, present=True)
        assert anchor is not None
        clip = make_clip(rng, emblems, frames)
        options: list[tuple[str, int]] = [
            (relation, target)
            for relation in RELATIONS
            if (target := _only_one(clip, anchor, relation)) is not None and clear_enough(clip, target)
        ]
        for attribute in _ATTRIBUTES:
            sharing = [
                i for i, e in enumerate(emblems)
                if i != anchor and getattr(e, attribute) == getattr(team.emblem, attribute)
            ]  # fmt: skip
            if len(sharing) == 1 and clear_enough(clip, sharing[0]):
                options.append((f"of the same {attribute} as", sharing[0]))
        if options:
            break
    relation, target = options[int(rng.integers(len(options)))]
    query = f"the object {relation} {_about(rng, team, bridge)}"
    return EmblemTask(task_id, "relational", query, clip, anchor, target, team.emblem, team, bridge, relation)


def _only_one(clip: Clip, anchor: int, relation: Relation) -> int | None:
    """Return the mover that alone stands in `relation` to the anchor in every frame, clearly; None if none does."""
    axis = 0 if relation in ("left of", "right of") else 1
    sign = 1.0 if relation in ("left of", "above") else -1.0
    places = clip.centres(range(clip.frames))[:, :, axis] * sign
    ahead = places[:, [anchor]] - places
    clearly = np.asarray((ahead > _CLEAR_PIXELS).all(axis=0))
    not_at_all = np.asarray((ahead < -_CLEAR_PIXELS).all(axis=0))
    not_at_all[anchor] = True
    if clearly.sum() == 1 and (clearly | not_at_all).all():
        return int(np.flatnonzero(clearly)[0])
    return None


def _cast(rng: np.random.Generator, emblem: Emblem, *, present: bool) -> tuple[list[Emblem], int | None]:
    """Choose 4 to 6 different emblems of one family, shuffled, with the place of `emblem` if present.

    In a family each shares two attributes with another; where a member was left out, its relatives may have no other.
    The family is grown without a thought of `emblem`, which then takes the part of a member drawn at random, so the
    emblems alone do not tell which one is asked for. A relation may: see `guess_chance`.
    """
    count = int(rng.integers(4, 7))
    family = draw_family(rng, count if present else count + 1)
    part = int(rng.integers(len(family)))
    played = [_renamed(member, family[part], emblem) for member in family]
    if not present:
        return played[:part] + played[part + 1 :], None
    return played, part


def draw_family(rng: np.random.Generator, count: int) -> list[Emblem]:
    """Grow a family in random order: every member differs from an earlier one in a single attribute."""
    family = [ALL_EMBLEMS[int(rng.integers(len(ALL_EMBLEMS)))]]
    while len(family) < count:
        like, other = family[int(rng.integers(len(family)))], ALL_EMBLEMS[int(rng.integers(len(ALL_EMBLEMS)))]
        changed = _ATTRIBUTES[int(rng.integers(len(_ATTRIBUTES)))]
        member = replace(like, **{changed: getattr(other, changed)})
        if member not in family:
            family.append(member)
    return [family[i] for i in rng.permutation(count)]


def _renamed(member: Emblem, part: Emblem, emblem: Emblem) -> Emblem:
    """Exchange the values of `part` and `emblem`, attribute by attribute; who shares what with whom stays the same."""
    values = {}
    for attribute in _ATTRIBUTES:
        value, old, new = (getattr(e, attribute) for e in (member, part, emblem))
        values[attribute] = new if value == old else old if value == new else value
    return Emblem(**values)


def _visible_clip(rng: np.random.Generator, emblems: Sequence[Emblem], anchor: int | None, frames: int) -> Clip:
    while True:
        clip = make_clip(rng, emblems, frames)
        if anchor is None or clear_enough(clip, anchor):
            return clip


def clear_enough(clip: Clip, mover: int) -> bool:
    """Tell whether in some frame nothing that lies on top comes near the mover, by centres and sizes."""
    if mover == len(clip.movers) - 1:
        return True
    sizes = np.array([m.size for m in clip.movers])
    centres = clip.centres(shown_frames(clip.frames))
    apart = np.linalg.norm(centres[:, mover + 1 :] - centres[:, [mover]], axis=2)
    return bool((apart > 0.45 * (sizes[mover + 1 :] + sizes[mover])).all(axis=1).any())


def shown_frames(frames: int, wanted: int = 4) -> list[int]:
    """Return the frames that the embedded policy is shown: evenly spaced, first and last included."""
    if frames <= wanted:
        return list(range(frames))
    return [round(f) for f in np.linspace(0, frames - 1, wanted)]


def _short_phrase(rng: np.random.Generator, emblem: Emblem, others: Sequence[Emblem]) -> str:
    """Describe an emblem by as few attributes as single it out, or by all; which, is drawn."""
    unique = [
        chosen
        for chosen in (("shape",), ("colour", "shape"), ("pattern", "shape"))
        if not any(all(getattr(o, a) == getattr(emblem, a) for a in chosen) for o in others)
    ]
    if not unique or rng.random() < 0.3:
        return emblem.phrase
    chosen = unique[int(rng.integers(len(unique)))]
    return words_for(emblem, chosen)


def words_for(emblem: Emblem, chosen: Sequence[str]) -> str:
    """Name the chosen attributes of an emblem, in the usual order."""
    return " ".join(getattr(emblem, a) for a in ("pattern", "colour", "shape") if a in chosen)


def _bridge(rng: np.random.Generator, world: World, team: Team) -> Bridge:
    won = [cup.name for cup in world.cups if world.teams[cup.winner] is team]
    ways = [
        f"the team from {team.town}",
        f"the team that {team.founder} founded",
        f"the team that {team.sponsor} sponsors",
    ]
    if won and rng.random() < 0.6:
        return Bridge(f"the team that won the {won[int(rng.integers(len(won)))]}")
    return Bridge(ways[int(rng.integers(len(ways)))])


def _about(rng: np.random.Generator, team: Team, bridge: Bridge | None) -> str:
    if bridge:
        return f"the emblem of {bridge.description}"
    return f"the {team.name} emblem" if rng.random() < 0.3 else f"the emblem of the {team.name}"
