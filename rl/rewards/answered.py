"""What an episode answered; where it does not say, its last turn is read, in Seg-ReSearch's dialect."""

from graphs.actions import Answer
from graphs.dialects.seg_research_answers import SCALE, read_answer
from graphs.dialects.tags import find_blocks, tag_pattern
from graphs.endings import Ending
from rl.rewards.base import Box, Play

_ANSWER = tag_pattern(("answer",))


def ending_of(play: Play) -> Ending | None:
    """Return how an episode ended; for one that does not say, found or absent by its last turn, else None."""
    if play.ending:
        return Ending(play.ending)
    answer = _last_answer(play)
    if answer is None:
        return None
    return Ending.ABSENT if answer.absent else Ending.FOUND


def answered_boxes(play: Play) -> tuple[Box, ...]:
    """Return the answered boxes in the units of the truth; where they are not given, as read, 0 to 1000."""
    if play.boxes is not None:
        return play.boxes
    answer = _last_answer(play)
    boxes = (target.box for target in answer.targets if target.box) if answer else ()
    return tuple((x1 * SCALE, y1 * SCALE, x2 * SCALE, y2 * SCALE) for x1, y1, x2, y2 in boxes)


def _last_answer(play: Play) -> Answer | None:
    """Read the last turn if the policy wrote it: an answer in an observation or in a thought is none."""
    if not play.turns or play.turns[-1].role != "policy":
        return None
    closed = find_blocks(play.turns[-1].text, _ANSWER).last_closed
    action = read_answer(closed.body) if closed else None
    return action if isinstance(action, Answer) else None
