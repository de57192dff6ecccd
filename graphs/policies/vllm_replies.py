"""What vLLM's token endpoint answers."""

from pydantic import BaseModel, ValidationError

from graphs.policies.openai_replies import UnusableReplyError


class BrokenOffError(UnusableReplyError):
    """The engine gave a request up: in 0.25 its only answer when it no longer has a picture."""


class _Score(BaseModel):
    logprob: float


class _Scores(BaseModel):
    content: list[_Score]


class _Choice(BaseModel):
    token_ids: list[int]
    logprobs: _Scores | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int


class Reply(BaseModel):
    """What was sampled, and how long a prompt the server read."""

    choices: list[_Choice]
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None

    @property
    def scores(self) -> list[float]:
        """The log-probability of each id that was sampled; empty if they were not asked for."""
        scores = self.choices[0].logprobs
        return [] if scores is None else [each.logprob for each in scores.content]


def read_reply(body: bytes, *, scored: bool = True) -> Reply:
    """Read a reply of the token endpoint; UnusableReplyError unless it holds ids, if `scored` with a score each."""
    try:
        reply = Reply.model_validate_json(body)
    except ValidationError as error:
        start = body[:80].decode("utf-8", "replace").strip()
        raise UnusableReplyError(f"it sent no token ids but {start!r}") from error
    if not reply.choices:
        raise UnusableReplyError("it sent a completion without choices")
    choice = reply.choices[0]
    if choice.finish_reason in ("error", "abort"):
        raise BrokenOffError(f"it broke the request off ({choice.finish_reason})")
    if not choice.token_ids or (scored and len(choice.token_ids) != len(reply.scores)):
        raise UnusableReplyError(
            f"it sent {len(choice.token_ids)} token ids with {len(reply.scores)} log-probabilities"
        )
    return reply
