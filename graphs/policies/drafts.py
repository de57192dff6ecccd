"""Guess how a text goes on: what a policy says is much like what it was shown and what it said before."""

from collections.abc import Sequence

_SIZES = (4, 2)
"""How many tokens must have come before, alike; the longest that is known decides."""
CONTEXT = max(_SIZES)
"""How many tokens a guess looks back at."""


class Drafts:
    """Remember what followed on a few tokens, to propose it when they come again (prompt lookup decoding).

    A model checks all tokens of a proposal in one pass, which costs little more than one token: it reads its weights
    once. What is sampled stays the same, up to the rounding of such a pass, since a token counts only if it is the one
    that was drawn there.
    """

    def __init__(self, length: int = 8, keep: int = 20_000) -> None:
        """Propose up to `length` tokens, none if 0; the oldest of more than `keep` entries are forgotten."""
        self._length, self._keep = length, keep
        self._next: dict[tuple[int, ...], tuple[int, ...]] = {}

    def learn(self, ids: Sequence[int]) -> None:
        """Remember a text by its token ids; the last time that the same tokens came counts."""
        if not self._length:
            return
        ids = tuple(ids)
        for end in range(min(_SIZES), len(ids)):
            for size in (size for size in _SIZES if size <= end):
                known = ids[end - size : end]
                self._next.pop(known, None)  # so that it counts as new
                self._next[known] = ids[end : end + self._length]
        while len(self._next) > self._keep:
            del self._next[next(iter(self._next))]

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Return how a text may go on, up to `length` token ids; none if its last tokens were never seen."""
        for size in _SIZES:
            if found := self._next.get(tuple(ids[-size:])):
                return found
        return ()
