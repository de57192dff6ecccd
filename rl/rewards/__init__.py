"""Rewards: one file each, behind one protocol; each names the system it comes from."""

from collections.abc import Callable
from importlib import import_module

from rl.rewards.base import Reward
from tools.errors import InputError

# By name, so that a reward's own needs (scipy, MiniLM) are only loaded with it.
_REWARDS = {
    "seg-research": ("rl.rewards.seg_research", "SegResearch"),
    "seg-zero": ("rl.rewards.seg_zero", "SegZero"),
    "vision-reasoner": ("rl.rewards.vision_reasoner", "VisionReasoner"),
    "seg-r1": ("rl.rewards.seg_r1", "SegR1"),
    "seg-r1-points": ("rl.rewards.seg_r1", "SegR1Points"),
    "segscout": ("rl.rewards.segscout", "Segscout"),
}
REWARDS = tuple(_REWARDS)
"""The names of all rewards."""


def get_reward(name: str) -> Reward:
    """Return a reward with its default settings; hyphens and underscores are the same.

    Raises InputError, which lists the names, for an unknown one, and if a package that it needs is missing.
    """
    found = _REWARDS.get(name.strip().lower().replace("_", "-"))
    if found is None:
        raise InputError(f"there is no reward {name!r}.", remedy=f"Choose one of {', '.join(REWARDS)}.")
    try:
        make: Callable[[], Reward] = getattr(import_module(found[0]), found[1])
    except ImportError as error:
        remedy = "Run `pip install --editable '.[train]'`."
        raise InputError(f"the reward {name!r} cannot be loaded: {error}.", remedy=remedy) from error
    return make()
