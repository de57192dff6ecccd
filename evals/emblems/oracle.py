"""The oracle: plays an Emblems task perfectly, turn by turn, reading only what search really returned.

Its turns are the gold trajectories of supervised training and drive the graph in tests; it talks in `seg_research`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from evals.emblems.clips import Clip
from evals.emblems.tasks import EmblemTask
from evals.emblems.world import World
from graphs.actions import Box, Point
from graphs.dialects.seg_research import absent_turn, answer_turn, keyframe_turn, search_turn


class OracleLostError(Exception):
    """Search did not return the fact that the task needs; such an episode teaches nothing."""


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the extent of a mask, normalised to 0..1; the far edges are exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def inner_point(mask: NDArray[np.bool_]) -> Point:
    """Return the point deepest inside a mask, normalised to 0..1.

    The mask is padded first, so the point of an object that the frame's edge cuts does not lie on the edge.
    """
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return (float(x) + 0.5) / mask.shape[1], (float(y) + 0.5) / mask.shape[0]


def clearest_frame(clip: Clip, frames: Sequence[int], mover: int) -> int:
    """Return the first frame of `frames` that shows a mover at least nearly as well as any other does."""
    areas = np.array([np.count_nonzero(clip.render(frame)[1] == mover) for frame in frames])
    return frames[int(np.argmax(areas >= 0.95 * areas.max()))]


@dataclass
class Oracle:
    """Play one task. `frames` are the clip frames that the policy is shown, `search` whether it may search."""

    task: EmblemTask
    world: World
    frames: list[int]
    search: bool = True
    guess: int = 0
    """Which mover to guess when the emblem cannot be looked up."""

    def __post_init__(self) -> None:
        self._asked: list[str] = []
        self._keyframe: int | None = None
        self._chosen: int | None = None

    def turn(self, observation: str) -> str:
        """Return the next turn, given the text of the last observation (ignored at the first turn)."""
        if self._keyframe is not None:
            return self._answer()
        if self.task.team is None:
            return self._decide("", known=True)
        if not self.search:
            return self._decide("I cannot look it up. ", known=False)
        return self._look_up(observation)

    def _look_up(self, observation: str) -> str:
        team, bridge = self.task.team, self.task.bridge
        assert team is not None
        asked = self._asked
        if bridge and not asked:
            return self._ask(f"I must look up {bridge.description}.", "text_search", bridge.description)
        question = f"emblem of the {team.name}"
        if len(asked) == (1 if bridge else 0):
            if bridge and team.name not in observation:
                raise OracleLostError(bridge.description)
            lead = f"It is the {team.name}. " if bridge else ""
            return self._ask(f"{lead}I must look up the {question}.", "text_search", question)
        if asked[-1] == "text_search" and f"emblem of the {team.name} is shown in their picture" in observation:
            return self._ask("I must see the picture.", "image_search", question)
        if asked[-1] == "text_search" and not self._says_emblem(observation):
            raise OracleLostError(question)
        if asked[-1] == "image_search" and f"(Title: {team.name})" not in observation:
            raise OracleLostError(question)
        return self._decide(f"The emblem is the {self.task.emblem.phrase}. ", known=True)

    def _says_emblem(self, observation: str) -> bool:
        team, phrase = self.task.team, self.task.emblem.phrase
        return any(team is not None and team.name in line and phrase in line for line in observation.split("\n"))

    def _ask(self, thinking: str, tool: Literal["text_search", "image_search"], query: str) -> str:
        self._asked.append(tool)
        return search_turn(thinking, tool, query)

    def _decide(self, lead: str, *, known: bool) -> str:
        task = self.task
        seen = lead + self._listing("Left to right", 0)
        if known and task.relation in ("above", "below"):
            seen += self._listing("Top to bottom", 1)
        self._chosen = task.target if known else self.guess
        if self._chosen is None:
            return absent_turn(f"{seen}It is not there.")
        self._keyframe = clearest_frame(task.clip, self.frames, self._chosen)
        phrase = task.clip.movers[self._chosen].emblem.phrase
        relation = f"The object {task.relation} it is" if known and task.relation else "The target is"
        return keyframe_turn(f"{seen}{relation} the {phrase}, clearest in frame {self._keyframe}.", self._keyframe)

    def _listing(self, order: str, axis: int) -> str:
        places = self.task.clip.centres(self.frames[:1])[0][:, axis]
        phrases = [self.task.clip.movers[i].emblem.phrase for i in np.argsort(places, kind="stable")]
        return f"{order}: {', '.join(phrases)}. "

    def _answer(self) -> str:
        assert self._keyframe is not None
        assert self._chosen is not None
        mask = self.task.clip.mask(self._keyframe, self._chosen)
        phrase = self.task.clip.movers[self._chosen].emblem.phrase
        return answer_turn(f"The {phrase}.", box_of(mask), inner_point(mask))
