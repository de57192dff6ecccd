"""What dialects share whose actions are tags: how a turn is read.

The tags are Seg-ReSearch's, which is the only published system that has them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from graphs.actions import Action, Malformed
from graphs.dialects.base import View
from graphs.dialects.observations import Observations
from graphs.dialects.seg_research_answers import KEYFRAME_HINT, SEARCH_HINT, read_keyframe, read_search
from graphs.dialects.tags import MAX_TURN_CHARS, Block, Blocks, find_blocks, tag_pattern


@dataclass(frozen=True)
class ActionTag:
    """How an action tag is read, and what the policy is told if it cannot be.

    `read` gets the blocks of the turn up to the one that counts, which is the last of them.
    """

    read: Callable[[Sequence[Block]], Action]
    hint: str


def read_last(read: Callable[[str], Action]) -> Callable[[Sequence[Block]], Action]:
    """Make a reader of one body into one that reads the last block; like dialects it can be sent to another process."""
    return partial(_read_last, read)


def _read_last(read: Callable[[str], Action], blocks: Sequence[Block]) -> Action:
    return read(blocks[-1].body)


_STEPS: Mapping[str, ActionTag] = {
    "search": ActionTag(read_last(read_search), SEARCH_HINT),
    "keyframe": ActionTag(read_last(read_keyframe), KEYFRAME_HINT),
}


class TagDialect(Observations):
    """Read turns by their action tags; `answers` are the tags beside search and keyframe.

    `thinking` is the tag that thoughts stand in, and `any_hint` what a turn without any action is answered with.
    """

    def __init__(self, view: View, answers: Mapping[str, ActionTag], *, thinking: str, any_hint: str) -> None:
        self.view = view
        self._tags = {**_STEPS, **answers}
        self._pattern = tag_pattern(tuple(self._tags))
        self._thinking, self._any_hint = thinking, any_hint

    def parse(self, text: str) -> Action:
        """Parse one turn that the policy itself sampled: the last action tag outside thinking and quoted results.

        Never raises; linear in the length of the text, of which the last `MAX_TURN_CHARS` characters are read.
        """
        blocks = find_blocks(text[-MAX_TURN_CHARS:], self._pattern)
        tail = self._read_unclosed(blocks, blocks.unclosed) if blocks.unclosed else None
        if tail is not None and not isinstance(tail, Malformed):
            return tail
        if blocks.last_closed:
            return self._tags[blocks.last_closed.tag].read(blocks.closed)
        if tail is not None:
            return tail
        if blocks.hidden:
            close = f"</{self._thinking}>"
            return Malformed(f"the action stands inside <{self._thinking}> or <information>", f"Put it after {close}.")
        return Malformed("the turn has no action", self._any_hint)

    def _read_unclosed(self, blocks: Blocks, block: Block) -> Action:
        """Read the tag in which the turn ended: servers may drop the stop string, and output may be cut.

        A frame index must be followed by something, or it may be the first digits of a longer one.
        """
        tag = self._tags[block.tag]
        broken = Malformed(f"the turn ends inside <{block.tag}>", tag.hint)
        if block.tag == "keyframe" and block.body[-1:].isdigit():
            return broken
        if block.tag == "search" and "{" not in block.body:
            return broken
        action = tag.read((*blocks.closed, block))
        return broken if isinstance(action, Malformed) else action
