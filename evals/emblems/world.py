"""An invented world: teams, the emblems they bear, the cups they won; and the records that tell of it.

Everything is drawn from (split, seed): nothing can be memorised, it must be looked up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evals.emblems.names import MASCOTS, Split, draw_names
from evals.emblems.sprites import COLOURS, PATTERNS, SHAPES, Emblem

ALL_EMBLEMS = tuple(Emblem(s, c, p) for s in SHAPES for c in COLOURS for p in PATTERNS)
YEARS = range(2012, 2042)
PICTURED_SHARE = 0.15
_SPLIT_NUMBER = {"train": 0, "val": 1, "test": 2}


@dataclass(frozen=True)
class Team:
    """A team with its emblem; `pictured` teams have no record that describes the emblem in words, only a picture."""

    name: str
    emblem: Emblem
    town: str
    founder: str
    sponsor: str
    pictured: bool


@dataclass(frozen=True)
class Cup:
    """One cup in one year, and the index of the team that won it."""

    name: str
    winner: int


@dataclass(frozen=True)
class World:
    """Teams and cups of one seed."""

    split: Split
    seed: int
    teams: tuple[Team, ...]
    cups: tuple[Cup, ...]

    def records(self) -> Iterator[tuple[str, str]]:
        """Yield the text records, (title, body); several tell of each team, about four and a half a team."""
        rng = np.random.default_rng((_SPLIT_NUMBER[self.split], self.seed, 1))
        for team in self.teams:
            yield f"Emblem of the {team.name}", _emblem_body(rng, team)
            yield f"Home of the {team.name}", f"The {team.name} are the team from {team.town}, where they play at home."
            yield f"Founder of the {team.name}", f"{team.founder} founded the {team.name}{_years_ago(rng)}."
            yield f"Sponsor of the {team.name}", f"The {team.name} are the team that {team.sponsor} sponsors."
        for cup in self.cups:
            winner, loser = self.teams[cup.winner].name, self.teams[int(rng.integers(len(self.teams)))].name
            final = f" They beat the {loser} in the final." if loser != winner and rng.random() < 0.4 else ""
            yield f"Winner of the {cup.name}", f"The {winner} won the {cup.name}.{final}"


def _emblem_body(rng: np.random.Generator, team: Team) -> str:
    if team.pictured:
        return f"The emblem of the {team.name} is shown in their picture only."
    ways = (
        f"The emblem of the {team.name} is a {team.emblem.phrase}.",
        f"The {team.name} bear a {team.emblem.phrase} as their emblem.",
        f"A {team.emblem.phrase} is the emblem of the {team.name}.",
    )
    return ways[int(rng.integers(len(ways)))]


def _years_ago(rng: np.random.Generator) -> str:
    return f" in {int(rng.integers(1900, 2010))}" if rng.random() < 0.5 else ""


def make_world(split: Split, seed: int, teams: int = 1000) -> World:
    """Draw a world; a thousand teams give about 5,200 text records and as many pictures as teams."""
    rng = np.random.default_rng((_SPLIT_NUMBER[split], seed, 0))
    # Fewer places than teams: teams that share a place or a mascot have similar names, which search must tell apart.
    places = draw_names(rng, split, max(8, teams // 3))
    towns = draw_names(rng, split, teams)
    people = draw_names(rng, split, max(8, teams // 8))
    firms = draw_names(rng, split, teams)
    pairs = rng.choice(len(places) * len(MASCOTS), teams, replace=False)
    born = rng.choice(len(people) ** 2, teams, replace=len(people) ** 2 < teams)
    drawn = rng.integers(len(ALL_EMBLEMS), size=teams)
    pictured = rng.random(teams) < PICTURED_SHARE
    bearers = tuple(
        Team(
            name=f"{places[pairs[i] // len(MASCOTS)]} {MASCOTS[pairs[i] % len(MASCOTS)]}",
            emblem=ALL_EMBLEMS[drawn[i]],
            town=towns[i],
            founder=f"{people[born[i] // len(people)]} {people[born[i] % len(people)]}",
            sponsor=firms[i],
            pictured=bool(pictured[i]),
        )
        for i in range(teams)
    )
    series = [f"{name} Cup" for name in draw_names(rng, split, max(1, round(teams * 1.2 / len(YEARS))))]
    cups = tuple(Cup(f"{year} {name}", int(rng.integers(teams))) for name in series for year in YEARS)
    return World(split, seed, bearers, cups)
