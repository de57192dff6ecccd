"""What vLLM's token endpoint answers."""

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from graphs.policies.openai_replies import UnusableReplyError

_ID = "token_id:"


class BrokenOffError(UnusableReplyError):
    """The engine gave a request up: in 0.25 its only answer when it no longer has a picture."""


class _Named(BaseModel):
    token: str
    logprob: float


class _Score(BaseModel):
    logprob: float
    top_logprobs: list[_Named] = []


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

    @property
    def named(self) -> list[dict[int, float]]:
        """The log-probabilities of the likeliest ids of each place, in the server's order, as far as asked for."""
        places = [] if self.logprobs is None else self.logprobs.content
        return [{int(each.token.removeprefix(_ID)): each.logprob for each in place.top_logprobs} for place in places]


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


def make_sample(ids: Sequence[int], scores: Sequence[float], finish_reason: str | None) -> Sample:
    """Return a sample that is put together of several."""
    content = [_Score(logprob=score) for score in scores]
    return Sample(token_ids=[*ids], logprobs=_Scores(content=content), finish_reason=finish_reason)


def _check(sample: Sample, *, scored: bool) -> None:
    if sample.finish_reason in ("error", "abort"):
        raise BrokenOffError(f"it broke the request off ({sample.finish_reason})")
    if not sample.token_ids or (scored and len(sample.token_ids) != len(sample.scores)):
        raise UnusableReplyError(
            f"it sent {len(sample.token_ids)} token ids with {len(sample.scores)} log-probabilities"
        )
