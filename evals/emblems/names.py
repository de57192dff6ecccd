"""Invented names, split by hash, so that no name of one split exists in another whatever the seed."""

import zlib
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from tools.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Tor Hel Mar Vin Bel Kor Lan Sel Dra Fen Gal Hur Jas Kel Lor Mon Nar Or Pel Quin Ros Sar Tal Ul Ver Wes Yar Zan "
    "Bra Cas Dor El Fal Gren Hol Is Jor Kal Lim Mel Nor Os Per Rin Sol Tam Ur Val Wil Yel Zor Ash Bor Cor Den Est"
)
_MIDDLE = _words("a e i o u an en in on un ar er ir or ur al el il ol")
_LAST = _words(
    "vik sa nel ka dor mere ton ley wick gard holm ra lin mond ster va ren dal field mar nia rik sen tor vale wen "
    "zin bury by den fell gate ham kirk low moor nest port ridge stad thorp worth lo mi na pa qua ta"
)
MASCOTS = _words(
    "Rovers Foxes Comets Giants Ravens Wolves Sailors Miners Bears Falcons Lynxes Otters Hawks Riders Archers Smiths "
    "Pilots Vikings Hunters Dragons Knights Tigers Badgers Herons"
)


def split_of(name: str) -> Split:
    """Tell which split a name belongs to: its hash decides, 7 : 1 : 2."""
    bucket = zlib.crc32(name.encode()) % 10
    return "train" if bucket < 7 else "val" if bucket == 7 else "test"


@lru_cache(maxsize=len(SPLITS))
def names_of(split: Split) -> tuple[str, ...]:
    """List every name of a split, sorted; two or three syllables each. Raises InputError for an unknown split."""
    if split not in SPLITS:
        raise InputError(f"there is no Emblems split {split!r}.", remedy=f"Choose one of {', '.join(SPLITS)}.")
    every = {first + middle + last for first in _FIRST for middle in ("", *_MIDDLE) for last in _LAST}
    return tuple(sorted(name for name in every if split_of(name) == split))


def read_split(text: str) -> Split:
    """Return the split of this name; InputError lists those that exist."""
    for split in SPLITS:
        if split == text:
            return split
    raise InputError(f"there is no Emblems split {text!r}.", remedy=f"Choose one of {', '.join(SPLITS)}.")


def draw_names(rng: np.random.Generator, split: Split, count: int) -> list[str]:
    """Draw `count` different names of a split."""
    pool = names_of(split)
    return [pool[i] for i in rng.choice(len(pool), count, replace=False)]
