"""Profiles: what each public checkpoint needs, in one place; the policy's address is the only thing left to say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from graphs.budget import Budget
from graphs.dialects.base import Dialect, View
from graphs.dialects.native import Native
from graphs.dialects.seg_r1 import SegR1
from graphs.dialects.seg_research import SegResearch
from graphs.dialects.vision_reasoner import VisionReasoner
from graphs.policies.base import Sampling
from graphs.policies.loading import EMBEDDED, is_address
from tools.errors import InputError

PromptStyle = Literal["published", "compact"]

_PICTURES = 16
"""Pictures of a long episode: frames, closer looks and searched ones."""
_WORDS = 4_096
"""Tokens of prompt and results in a long episode."""
_CELL = 28
"""Side of a picture's token in pixels; Qwen3-VL's is 32, so this is enough for it, too."""
_STEP = 8_192


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

    served_with: str = ""
    """Options that a vLLM server of it needs besides its sizes."""

    @property
    def serve(self) -> str:
        """The command that serves this checkpoint by vLLM, with room for a whole episode; "" for what ships here."""
        if self.name == EMBEDDED:
            return ""
        limits = f"--max-model-len {self._context_tokens()} --limit-mm-per-prompt '{{\"image\": {_PICTURES}}}'"
        return " ".join(filter(None, ("vllm serve", self.model or "MODEL", limits, self.served_with)))

    def make_dialect(self) -> Dialect:
        """Return the dialect, set up for this profile's prompt and view."""
        return make_dialect(self.dialect, self.view, self.prompt)

    def _context_tokens(self) -> int:
        """Return the tokens of a long episode: words, frames, and looks and searched pictures in equal parts."""
        view, more = self.view, (_PICTURES - self.view.frames) // 2
        sides = (view.frame_size,) * view.frames + (view.keyframe_size, view.image_size) * more
        tokens = _WORDS + self.budget.tokens + sum((side // _CELL) ** 2 for side in sides)
        return -(-tokens // _STEP) * _STEP


_SEG_RESEARCH_VIEW = View(frames=6, frame_size=448, keyframe_size=864, image_size=256)
_SEG_RESEARCH_BUDGET = Budget(turns=8, tokens=8_192, turn_tokens=4_096)
# 840 is published, the rest ours: these systems know neither clips nor searched pictures. Qwen2.5-VL's cell is 28.
_SEG_ZERO_VIEW = View(frames=6, frame_size=840, keyframe_size=840, image_size=252)
_SEG_R1_VIEW = View(frames=6, frame_size=756, keyframe_size=756, image_size=252)
_SEG_R1_SOURCE = (
    "geshang777/Seg-R1 at ca1256f: pictures of 768, which Qwen2.5-VL's processor shows as 756, and 1024 tokens, as in "
    "training and the evaluations on salient and camouflaged objects; those on referring and reasoning show 1024 (1036)"
)


def _seg_r1(size: str, form: str = "") -> Profile:
    return Profile(
        name=f"seg-r1-{size.lower()}{form and '-' + form}",
        dialect=f"seg_r1{form and '_' + form}",
        prompt="published",
        view=_SEG_R1_VIEW,
        budget=Budget(turns=8, tokens=8_192, turn_tokens=1_024),
        model=f"geshang/Seg-R1-{size}",
        source=_SEG_R1_SOURCE,
    )


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
        Profile(
            name="vision-reasoner-7b",
            dialect="vision_reasoner",
            prompt="published",
            view=_SEG_ZERO_VIEW,
            budget=Budget(turns=8, tokens=8_192, turn_tokens=2_048),
            model="Ricky06662/VisionReasoner-7B",
            source="JIA-Lab-research/VisionReasoner at c013132: pictures of 840, 2048 tokens, greedy",
        ),
        Profile(
            name="qwen2.5-vl",
            dialect="vision_reasoner",
            prompt="published",
            view=_SEG_ZERO_VIEW,
            budget=Budget(turns=8, tokens=8_192, turn_tokens=2_048),
            model="Qwen/Qwen2.5-VL-7B-Instruct",
            source="the untrained baseline of VisionReasoner's paper, asked alike: it answers in pixels of the picture",
        ),
        Profile(
            name="seg-zero-7b",
            dialect="seg_zero",
            prompt="published",
            view=_SEG_ZERO_VIEW,
            budget=Budget(turns=8, tokens=8_192, turn_tokens=1_024),
            model="Ricky06662/Seg-Zero-7B",
            source="dvlab-research/Seg-Zero at 77f9ea5: pictures of 840, 1024 tokens, greedy",
        ),
        Profile(
            name="native",
            dialect="native",
            prompt="published",
            view=View(frames=6, frame_size=448, keyframe_size=896, image_size=224),
            budget=Budget(turns=8, tokens=16_384, turn_tokens=4_096),
            source="any model that calls tools, hosted or served with a tool parser; sides are multiples of the "
            "28-pixel and 32-pixel cells of Qwen's models, and tokens leave room for reasoning",
            served_with="--enable-auto-tool-choice --tool-call-parser hermes",
        ),
        _seg_r1("3B"),
        _seg_r1("7B"),
        _seg_r1("3B", form="points"),
    )
}

DIALECTS: Mapping[str, Callable[[View, PromptStyle], Dialect]] = {
    "native": Native,
    "seg_research": SegResearch,
    "vision_reasoner": VisionReasoner,
    "seg_zero": partial(VisionReasoner, form="seg_zero"),
    "seg_r1": SegR1,
    "seg_r1_points": partial(SegR1, form="points"),
}


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
    make = DIALECTS.get(name.strip().lower().replace("-", "_"))
    if make is None:
        raise InputError(f"there is no dialect {name!r}.", remedy=f"Choose one of: {', '.join(DIALECTS)}.")
    return make(view, prompt)
