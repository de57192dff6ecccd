"""What an agent that looks nothing up could hope for: the chance of the best guesser that has only query and clip."""

from collections.abc import Set

from evals.emblems.sprites import Emblem
from evals.emblems.tasks import EmblemTask, shown_frames

_EXTREMES = {"left of": (0, 1.0), "right of": (0, -1.0), "above": (1, 1.0), "below": (1, -1.0)}
"""Spatial relation → axis (0 is x), and the sign with which the extreme object comes first."""
_SAME = "of the same "


def guess_chance(task: EmblemTask, visible: Set[int]) -> float:
    """Return the chance that the guesser names the target; 0 where the target is absent or not among the visible.

    `visible` are the movers that the clip shows. Mostly nothing singles one of them out, so each is as likely. But a
    relation tells more than it should, because it always holds for exactly one object:

    - Exactly one object lies left of (right of, above, below) the anchor throughout, so it is the outermost one on
      that side: whoever takes that one, by its mean centre on the shown frames, needs no lookup. 1 or 0.
    - "Of the same colour as" (shape, pattern) is asked only where the anchor shares it with exactly one other object,
      so only objects with exactly one such partner come into question, anchor and target alike.
    """
    if task.target is None or task.target not in visible:
        return 0.0
    if task.relation is None:
        return 1 / len(visible)
    if task.relation in _EXTREMES:
        return float(_outermost(task, task.relation, visible) == task.target)
    paired = _paired(task, task.relation.removeprefix(_SAME).removesuffix(" as"), visible)
    return 1 / len(paired) if task.target in paired else 0.0


def _outermost(task: EmblemTask, relation: str, visible: Set[int]) -> int:
    axis, sign = _EXTREMES[relation]
    places = sign * task.clip.centres(shown_frames(len(task.clip))).mean(axis=0)[:, axis]
    return min(visible, key=lambda mover: float(places[mover]))


def _paired(task: EmblemTask, attribute: str, visible: Set[int]) -> set[int]:
    """Return the visible movers that share an attribute with exactly one other visible mover."""

    def value(mover: int) -> str:
        emblem: Emblem = task.clip.movers[mover].emblem
        return str(getattr(emblem, attribute))

    values = [value(mover) for mover in visible]
    return {mover for mover in visible if values.count(value(mover)) == 2}
