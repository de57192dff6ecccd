"""What SAM 2 is told about an object: every prompt as labelled points, a box as its two corners.

Boxes as points (labels 2 and 3) lift the rule that all prompts of a call must have the same parts; grouping by the
number of points is needed because padding points are not masked in attention and would change the masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.errors import InputError
from tools.segmenters.base import Box, Mask, Prompt

BOX_LABELS = (2, 3)
"""SAM 2's labels for the top left and the bottom right corner of a box; 1 is inside, 0 outside."""


@dataclass(frozen=True)
class LabelledPoints:
    """One prompt as points: xy (n, 2) float32 in pixels of the original picture, and labels (n,) int32."""

    xy: NDArray[np.float32]
    labels: NDArray[np.int32]


def labelled_points(prompt: Prompt) -> LabelledPoints:
    """Return box corners and points of a valid prompt (see `check_prompts`) as one list of labelled points."""
    corners = () if prompt.box is None else (prompt.box[:2], prompt.box[2:])
    labels = (BOX_LABELS if prompt.box is not None else ()) + tuple(prompt.labels)
    xy = np.array([*corners, *prompt.points], dtype=np.float32).reshape(-1, 2)
    return LabelledPoints(xy, np.array(labels, dtype=np.int32))


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """Raise InputError for a prompt without box and points, of non-finite numbers, or with labels that do not fit."""
    for index, prompt in enumerate(prompts):
        numbers = [*(prompt.box or ()), *(value for point in prompt.points for value in point)]
        if prompt.box is None and not prompt.points:
            raise InputError(f"prompt {index} has neither box nor points.", remedy="Give at least one of them.")
        if not np.isfinite(numbers).all():
            raise InputError(f"prompt {index} has coordinates that are no numbers.", remedy="Give pixels.")
        if prompt.box is not None and (prompt.box[2] <= prompt.box[0] or prompt.box[3] <= prompt.box[1]):
            raise InputError(f"prompt {index} has an empty box {prompt.box}.", remedy="Give x1 < x2 and y1 < y2.")
        if len(prompt.labels) != len(prompt.points) or any(label not in (0, 1) for label in prompt.labels):
            raise InputError(
                f"prompt {index} has {len(prompt.points)} points but labels {prompt.labels}.",
                remedy="Give one label per point, 1 inside or 0 outside.",
            )


def check_keyframe(keyframe: int, count: int) -> None:
    """Raise InputError if a clip of `count` frames has no frame `keyframe`."""
    if not 0 <= keyframe < count:
        raise InputError(f"there is no frame {keyframe}.", remedy=f"The clip has frames 0 to {count - 1}.")


def group_by_count(prompts: Sequence[LabelledPoints]) -> list[list[int]]:
    """Return the indices of prompts grouped by their number of points, which may share a call."""
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(len(prompt.labels), []).append(index)
    return list(groups.values())


def box_of(mask: Mask) -> Box | None:
    """Return the tight box in pixels (edges exclusive) of a boolean mask (height, width); None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
