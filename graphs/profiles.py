"""Profiles: what each public checkpoint needs, in one place; the policy's address is the only thing left to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from graphs.budget import Budget
from graphs.dialects.base import Dialect, View
from graphs.dialects.seg_research import SegResearch
from graphs.policies.base import Sampling
from graphs.policies.loading import EMBEDDED, is_address
from tools.errors import InputError

PromptStyle = Literal["published", "compact"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How to talk to one checkpoint, or to a family that behaves alike."""

    name: str
    dialect: str
    prompt: PromptStyle
    view: View
    budget: Budget = field(default_factory=Budget)
    sampling: Sampling = field(default_factory=Sampling)
    model: str = ""
    """The checkpoint as a hub id; empty for what ships with this repository."""
    source: str = ""
    """Where the sizes and the convention come from."""

    def make_dialect(self) -> Dialect:
        """Return the dialect, set up for this profile's prompt and view."""
        return make_dialect(self.dialect, self.view, self.prompt)


_SEG_RESEARCH_VIEW = View(frames=6, frame_size=448, keyframe_size=864, image_size=256)
_SEG_RESEARCH_BUDGET = Budget(turns=8, tokens=8_192, turn_tokens=4_096)

PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="embedded",
            dialect="seg_research",
            prompt="compact",
            view=View(frames=4, frame_size=224, keyframe_size=448, image_size=128),
            budget=Budget(turns=10, tokens=2_048, turn_tokens=320),
            source="trained by rl/ on Emblems",
        ),
        Profile(
            name="seg-research-4b",
            dialect="seg_research",
            prompt="published",
            view=_SEG_RESEARCH_VIEW,
            budget=_SEG_RESEARCH_BUDGET,
            model="Qwen/Qwen3-VL-4B-Instruct",
            source="iSEE-Laboratory/Seg-ReSearch at 1b98c9e, train_4b.sh: 6 frames of 448, keyframe 864, images 256; "
            "no trained checkpoint is public, so this is its base model or one of your own training",
        ),
        Profile(
            name="qwen3-vl",
            dialect="seg_research",
            prompt="published",
            view=_SEG_RESEARCH_VIEW,
            budget=_SEG_RESEARCH_BUDGET,
            model="Qwen/Qwen3-VL-4B-Instruct",
            source="coordinates 0..1000 as Qwen3-VL answers natively; sides are multiples of its 32-pixel cell",
        ),
    )
}

_DIALECTS: Mapping[str, Callable[[View, PromptStyle], Dialect]] = {"seg_research": SegResearch}


def get_profile(name: str) -> Profile:
    """Return a profile by name; InputError lists those that exist."""
    if name not in PROFILES:
        raise InputError(f"there is no profile {name!r}.", remedy=f"Choose one of: {', '.join(PROFILES)}.")
    return PROFILES[name]


def profile_for(policy: object, name: str | None) -> Profile:
    """Return the named profile; by default `qwen3-vl` for an endpoint, `embedded` for all that runs in process."""
    return get_profile(name or ("qwen3-vl" if is_address(policy) else EMBEDDED))


def make_dialect(name: str, view: View, prompt: PromptStyle = "published") -> Dialect:
    """Return a dialect by name (hyphens count as underscores); InputError lists those that exist."""
    make = _DIALECTS.get(name.strip().lower().replace("-", "_"))
    if make is None:
        raise InputError(f"there is no dialect {name!r}.", remedy=f"Choose one of: {', '.join(_DIALECTS)}.")
    return make(view, prompt)
