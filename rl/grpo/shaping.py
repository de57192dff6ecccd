"""Overlong shaping on policy tokens only.

DAPO (arXiv 2503.14476) takes reward from long completions; TRL's helper counts observations too, which the policy
cannot shorten.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Overlong:
    """From `limit - cache` policy tokens on the penalty grows, to `most` at `limit` and beyond."""

    limit: int
    cache: int
    most: float = 1.0

    def penalty(self, policy_tokens: int) -> float:
        """Return what to take from the reward, 0 to `most`."""
        beyond = policy_tokens - (self.limit - self.cache)
        return self.most * min(1.0, max(0.0, beyond / self.cache))
