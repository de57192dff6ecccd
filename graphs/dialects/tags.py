"""Find the blocks of a sampled turn that count: tags inside thinking or quoted results are never an action.

One pass over the tags, linear in the length of the turn.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_TURN_CHARS = 100_000
"""Far above any turn of 8,192 tokens; what precedes it in a runaway turn is thinking, and is not read."""

_THINKING = frozenset({"thinking", "think", "reasoning"})
_QUOTED = frozenset({"information", "tool_response"})


@dataclass(frozen=True)
class Block:
    """The inside of one tag of a turn; `closed` is false if the turn ended before the closing tag."""

    tag: str
    body: str
    closed: bool


@dataclass(frozen=True)
class Blocks:
    """The closed blocks that count, in order, and whether there was one that hid inside thinking."""

    closed: tuple[Block, ...]
    unclosed: Block | None
    hidden: bool

    @property
    def last_closed(self) -> Block | None:
        """The block that counts where one turn is one action."""
        return self.closed[-1] if self.closed else None


def tag_pattern(actions: Sequence[str]) -> re.Pattern[str]:
    """Compile the pattern of opening and closing tags that `find_blocks` needs, for these action tags."""
    names = "|".join(sorted({*actions, *_THINKING, *_QUOTED}))
    return re.compile(rf"<\s{{0,4}}+(/?)\s{{0,4}}+({names})\s{{0,4}}+>", re.IGNORECASE)


def find_blocks(text: str, pattern: re.Pattern[str]) -> Blocks:
    """Return the closed action blocks of `text` and, if the turn ends inside one, the unclosed block after it.

    Masked are: closed thinking spans, all that precedes a closing thinking tag that nothing opened (templates open it
    in the prompt), and quoted result blocks, closed or not. An unclosed thinking tag masks nothing.
    """
    tags = [(m.start(), m.end(), not m.group(1), m.group(2).lower()) for m in pattern.finditer(text)]
    last_thought = max((start for start, _, opens, name in tags if not opens and name in _THINKING), default=-1)
    opened: dict[str, int] = {}
    closed: list[Block] = []
    inside: frozenset[str] | None = None
    thought = hidden = False
    for start, end, opens, name in tags:
        if inside is not None:
            hidden = hidden or (opens and name not in inside)
            if not opens and name in inside:
                inside = None
        elif name in _THINKING:
            if opens and start < last_thought:
                inside, thought = _THINKING, True
            elif not opens and not thought:
                hidden, thought = hidden or bool(closed), True
                closed.clear()
                opened.clear()
        elif name in _QUOTED:
            inside = _QUOTED if opens else None
        elif opens:
            opened.pop(name, None)  # re-inserted, so that the newest opening is the dictionary's last
            opened[name] = end
        elif opened:
            tag = name if name in opened else next(reversed(opened))
            closed.append(Block(tag, text[opened[tag] : start], closed=True))
            opened.clear()
    unclosed = None
    if opened and inside is None:
        tag = next(reversed(opened))
        unclosed = Block(tag, text[opened[tag] :], closed=False)
    return Blocks(tuple(closed), unclosed, hidden)
