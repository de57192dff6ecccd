"""What an episode may spend, and what the policy is told when it is nearly spent."""

from dataclasses import dataclass

from graphs.endings import Ending

LAST_TURN = "This is your last turn: answer now."
NO_SEARCH_LEFT = "No search is left: answer from what you know."
TOO_MANY = "So many searches in one turn are not run: ask again for what is missing."
NO_SEARCH = "There is no search here: answer from the frames."
KNOWN_SEARCH = "You have searched for this before; the result is the same."

MIN_TOKENS = 16
"""A turn that may sample fewer tokens than this cannot hold an answer, so it is not begun."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits of one episode; the published loop allows 7 turns, tokens are those that the policy samples."""

    turns: int = 8
    searches: int = 8
    tokens: int = 8_192
    seconds: float = 300.0
    """Time for thinking and searching; the masks of an answer are cut whatever the clock says."""
    turn_tokens: int = 1_024
    """Tokens of one turn at most."""
    repairs: int = 2
    """Malformed turns that are answered by a hint; one more ends the episode."""
    tool_failures: int = 1
    """Failed rounds of search that the policy is told of; one more ends the episode."""
    search_seconds: float = 30.0
    """Time limit of one round of searches, which run concurrently."""
    queries: int = 4
    """Queries of one turn that are run at most; the policy is told that the others were not."""
    soft: float = 0.8
    """Share of tokens or seconds after which the next turn is announced as the last."""

    def spent(self, *, turns: int, tokens: int, seconds: float) -> Ending | None:
        """Return the ending that is due before another turn is sampled, or None."""
        if seconds >= self.seconds:
            return Ending.SECONDS_SPENT
        if tokens + MIN_TOKENS > self.tokens:
            return Ending.TOKENS_SPENT
        return Ending.TURNS_SPENT if turns >= self.turns else None

    def last_turn(self, *, turns: int, tokens: int, seconds: float) -> bool:
        """Whether the next turn should be announced as the last, given what was spent so far."""
        return turns + 1 >= self.turns or tokens >= self.soft * self.tokens or seconds >= self.soft * self.seconds
