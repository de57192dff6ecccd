"""A policy that plays a script: for tests, demonstrations and oracles that compute each turn."""

from collections.abc import Callable, Sequence

from graphs.conversation import Turn
from graphs.policies.base import Completion, Sampling
from tools.errors import PolicyError
from tools.image_store import ImageStore

Player = Callable[[Sequence[Turn]], str]
"""Computes the next turn from the conversation so far."""


class ReplayPolicy:
    """Play scripted turns, or those that a function computes; deterministic, and safe for concurrent episodes.

    Which turn of the script comes next follows from the conversation alone. Token counts are those of words.
    """

    def __init__(self, turns: Sequence[str] | Player, *, name: str = "replay") -> None:
        self.name = name
        self._turns = turns

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Return the next turn; raises PolicyError at the end of the script. `max_tokens` and `stop` do not cut it."""
        if callable(self._turns):
            text = self._turns(turns)
        else:
            played = sum(turn.role == "assistant" for turn in turns)
            if played >= len(self._turns):
                raise PolicyError(
                    f"the script of {self.name} has no turn {played}.", remedy="Add a turn to the script."
                )
            text = self._turns[played]
        prompt = sum(len(turn.text.split()) for turn in turns)
        return Completion(text, "stop", prompt, len(text.split()))
