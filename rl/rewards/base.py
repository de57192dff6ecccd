"""What a reward looks at, and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tools.segmenters.base import Mask

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class PlayTurn:
    """One turn after the task was put: what the policy wrote, or what it was shown (`<image>` for a picture).

    A turn of the policy that could not be used, and was answered by a hint, is `malformed`.
    """

    role: Literal["policy", "observation"]
    text: str
    malformed: bool = False


@dataclass(frozen=True)
class ObjectTruth:
    """One true object: its box (x1, y1, x2, y2) and a point inside it, in the units that the policy is asked for.

    `second` is another point inside, for systems that ask for two (Seg-Zero); None if there is only one.
    """

    box: Box
    point: Point
    second: Point | None = None


@dataclass(frozen=True)
class FrameTruth:
    """The truth on one frame: its objects, and how well that frame shows them.

    `area` and `max_conn_area` are parts, 0 to 1, of the largest such area among the frames shown: all true pixels, and
    those of the largest 8-connected component (Seg-ReSearch's names).
    """

    objects: tuple[ObjectTruth, ...]
    area: float = 1.0
    max_conn_area: float = 1.0


@dataclass(frozen=True)
class Truth:
    """What is right for a task: the frames on which the target can be seen (none: it is absent).

    `steps` are the searches that an expert would make, in words; empty if none are known or none are needed. Where it
    is not known how many are needed, `steps_known` is False, and no search that brings something new is needless.
    """

    frames: Mapping[int, FrameTruth]
    steps: tuple[str, ...] = ()
    steps_known: bool = True

    @property
    def absent(self) -> bool:
        """Whether nothing in the media matches."""
        return not self.frames


@dataclass(frozen=True)
class Cut:
    """Masks on the answered frame, boolean (height, width): those cut from the answer and the true ones."""

    predicted: tuple[Mask, ...]
    true: tuple[Mask, ...]


@dataclass(frozen=True)
class Play:
    """One episode as a reward sees it.

    `keyframe` is the frame that was answered on, `cut` the masks there if a segmenter was in the loop; `ending` is one
    of the values of `graphs.endings.Ending`. `useful` counts the searches that brought something not seen before,
    and `facts["malformed"]` the turns that could not be used. `boxes` are the answered boxes in the units of the truth,
    on tasks that have no masks; None where masks are compared, or if they are not known.
    """

    turns: tuple[PlayTurn, ...]
    truth: Truth
    ending: str = ""
    keyframe: int | None = None
    cut: Cut | None = None
    searches: int = 0
    useful: int = 0
    boxes: tuple[Box, ...] | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    """Anything else that was measured on the episode, by name."""

    @property
    def text(self) -> str:
        """All turns in one text, the observations included."""
        return "".join(turn.text for turn in self.turns)

    @property
    def spoken(self) -> tuple[str, ...]:
        """The policy's own turns."""
        return tuple(turn.text for turn in self.turns if turn.role == "policy")

    @property
    def answered_on(self) -> FrameTruth | None:
        """The truth on the answered frame (a picture is its only frame); None if the target cannot be seen there."""
        frames = self.truth.frames
        if self.keyframe is None:
            return next(iter(frames.values())) if len(frames) == 1 else None
        return frames.get(self.keyframe)


class Reward(Protocol):
    """Score an episode in named components; the reward is their weighted sum."""

    name: str
    source: str
    """The system or paper that it implements."""
    weights: Mapping[str, float]

    def components(self, play: Play) -> dict[str, float]:
        """Return every component of one episode; never raises for what a policy may write."""
        ...


def total(reward: Reward, components: Mapping[str, float]) -> float:
    """Return the weighted sum of components; those without a weight are reported only."""
    return sum(weight * components[name] for name, weight in reward.weights.items())
