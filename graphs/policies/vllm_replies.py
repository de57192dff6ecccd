"""What vLLM's token endpoint answers."""

from pydantic import BaseModel, ValidationError

from graphs.policies.openai_replies import UnusableReplyError


class BrokenOffError(UnusableReplyError):
    """The engine gave a request up: in 0.25 its only answer when it no longer has a picture."""


class _Score(BaseModel):
    logprob: float


class _Scores(BaseModel):
    content: list[_Score]


class Sample(BaseModel):
    """What was sampled of a prompt."""

    token_ids: list[int]
    logprobs: _Scores | None = None
    finish_reason: str | None = None

    @property
    def scores(self) -> list[float]:
        """The log-probability of each id; empty if they were not asked for."""
        return [] if self.logprobs is None else [each.logprob for each in self.logprobs.content]


class _Usage(BaseModel):
    prompt_tokens: int


class Reply(BaseModel):
    """What was sampled, and how long a prompt the server read."""

    choices: list[Sample]
    usage: _Usage | None = None
    prompt_token_ids: list[int] | None = None


def read_reply(body: bytes, *, scored: bool = True, samples: int = 1) -> Reply:
    """Read a reply of the token endpoint.

    Raises UnusableReplyError unless it holds that many samples, each with ids, if `scored` with a score each.
    """
    try:
        reply = Reply.model_validate_json(body)
    except ValidationError as error:
        start = body[:80].decode("utf-8", "replace").strip()
        raise UnusableReplyError(f"it sent no token ids but {start!r}") from error
    for sample in reply.choices:
        _check(sample, scored=scored)
    if len(reply.choices) != samples:
        raise UnusableReplyError(f"it sent a completion of {len(reply.choices)} choices where {samples} were wanted")
    return reply


def _check(sample: Sample, *, scored: bool) -> None:
    if sample.finish_reason in ("error", "abort"):
        raise BrokenOffError(f"it broke the request off ({sample.finish_reason})")
    if not sample.token_ids or (scored and len(sample.token_ids) != len(sample.scores)):
        raise UnusableReplyError(
            f"it sent {len(sample.token_ids)} token ids with {len(sample.scores)} log-probabilities"
        )
