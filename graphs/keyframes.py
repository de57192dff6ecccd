"""Which frame an answer speaks of."""

import re
from collections.abc import Sequence

from graphs.actions import Answer

_MENTION = re.compile(r"\bframes?\s{1,3}(\d{1,6})\b", re.IGNORECASE)


def choose_keyframe(
    answer: Answer, *, looked: Sequence[int], shown: Sequence[int], said: Sequence[str], count: int
) -> int:
    """Return the frame that an answer's coordinates refer to; `count` is the number of frames of the clip.

    In order: the frame that the answer names; the last one looked at closer; the shown frame that the policy spoke of
    last in `said`, its own turns (an answer without a look is most often about the frame it argued for); else the
    middle shown frame, from which masks have the shortest way through the clip.
    """
    if answer.frame is not None and 0 <= answer.frame < count:
        return answer.frame
    if looked:
        return looked[-1]
    for text in reversed(said):
        mentioned = [int(match) for match in _MENTION.findall(text) if int(match) in shown]
        if mentioned:
            return mentioned[-1]
    return shown[len(shown) // 2] if shown else count // 2
