"""What every policy does: complete a conversation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from graphs.conversation import Turn
from graphs.tool_calls import Toolset
from tools.errors import PolicyError
from tools.image_store import ImageStore

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Completion:
    """What the policy sampled, with exact token ids and log-probabilities where the policy knows them."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample: greedy at temperature 0; stop strings stay in the text."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    """JSON schema of the turn; a policy that cannot hold itself to one ignores it, so readers stay tolerant."""
    tools: Toolset | None = field(default=None, hash=False)
    """What the turn may call, for endpoints that are told so by name; the system prompt says it to all others."""


class NoRoomError(PolicyError):
    """The policy has no room for this conversation: more tokens, or more pictures, than it takes."""


class Policy(Protocol):
    """Complete a conversation; raises PolicyError when the policy cannot be reached or answers nothing usable."""

    @property
    def name(self) -> str:
        """What to call the policy in logs and records."""
        ...

    async def complete(
        self, turns: Sequence[Turn], images: ImageStore, *, max_tokens: int, stop: Sequence[str], sampling: Sampling
    ) -> Completion:
        """Sample the next assistant turn after `turns`; text ends after the first stop string, which it keeps."""
        ...


def cut_after(text: str, stops: Sequence[str]) -> str:
    """Return text up to the end of the first stop string in it; a token may spell more than the stop."""
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
