"""Turns of the same prompt are decoded once: each leaves the trunk where it draws another token.

The server goes on from the prompt greedily, once for all, and names the likeliest tokens of each place with their
probabilities. From these everybody draws a turn of his own, by uniform numbers from his own seed. As long as that is
what the trunk says, nothing is computed for him; where it is another token, the server goes on from there for him
alone. So a turn is distributed as if the server had sampled all of it, and hangs on nobody else's seed. That saves what
a group has in common: nearly all of a turn that the policy is sure of, and little of long reasoning.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from graphs.policies.sharing import Shared
from graphs.policies.vllm_prompts import Prompt
from graphs.policies.vllm_replies import Reply, Sample, make_sample
from tools.errors import PolicyError
from tools.image_store import ImageStore

_NAMED = 8
"""How many tokens of each place the server names: each costs it some 14 us, and a turn one request if it draws none."""
_NEVER = -100
_OTHER = 2**30
"""Sets the seeds of what is drawn here, and of a single token, apart from that by which the server draws the rest."""
_KEPT = 512
"""Trunks kept, of some 40 tokens each: those of 64 groups under way."""

Ask = Callable[[Prompt, ImageStore, Mapping[str, Any]], Awaitable[Reply]]
"""Ask the server for samples of a prompt."""


class Draw(Protocol):
    """Have the server sample, to the end, what follows on a prompt."""

    def __call__(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any], seed: int) -> Awaitable[Sample]:
        """Return a sample of that seed."""
        ...


@dataclass(frozen=True)
class Parting:
    """Where a turn leaves its trunk: after `at` tokens of it, for another, of that log-probability.

    Without a `token` for one that the server has not named; the log-probability is that of all such.
    """

    at: int
    token: int | None
    score: float


class Trunk:
    """The greedy turn of a prompt, and what else might have been said at each place; never `barred`."""

    def __init__(self, sample: Sample, barred: int) -> None:
        self.sample = sample
        self._places: list[dict[int, float]] = []
        self._open: list[float] = []  # the probability of everything but `barred`, if it was named
        for named in sample.named:
            self._open.append(1.0 - math.exp(named.get(barred, -math.inf)))
            self._places.append({token: score for token, score in named.items() if token != barred})

    def part(self, uniform: Sequence[float]) -> Parting | None:
        """Return where the turn leaves that is drawn by numbers from [0, 1), one for each token; None if nowhere."""
        places = zip(self.sample.token_ids, self._places, self._open, uniform, strict=True)
        for at, (own, named, whole, number) in enumerate(places):
            token = _find(named, number * whole)
            if token is None:
                rest = whole - math.fsum(map(math.exp, named.values()))
                return Parting(at, None, math.log(max(rest, 1e-12)))
            if token != own:
                return Parting(at, token, named[token])
        return None

    def named(self, at: int) -> list[int]:
        """Return the tokens that were named at a place."""
        return [*self._places[at]]


def _find(named: Mapping[int, float], height: float) -> int | None:
    """Return the token at that height of the named ones' probabilities, one on the other; None if above them all."""
    for token, score in named.items():
        height -= math.exp(score)
        if height < 0:
            return token
    return None


class Brancher:
    """Draw turns at temperature 1 and top_p 1; safe for concurrent episodes and several event loops.

    `barred` is never said: of it the server gives a probability, unless it serves with `processed_logprobs`. It is
    allowed for where it is among the named.
    """

    def __init__(self, ask: Ask, draw: Draw, *, barred: int) -> None:
        self._ask, self._draw, self._barred = ask, draw, barred
        self._trunks = Shared[Trunk](_KEPT)

    def forget(self) -> None:
        """Keep no trunks, after the server's weights have changed."""
        self._trunks.forget()

    async def sample(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any], seed: int) -> Sample:
        """Return the turn of that seed, scored whether `params` want it or not; raises what asking the server does."""
        shown = tuple(image.sha256 for image in prompt.images)
        trunk = await self._trunks.get(
            (prompt.whole, shown, json.dumps(params)), lambda: self._grow(prompt, images, params)
        )
        ids, scores = trunk.sample.token_ids, trunk.sample.scores
        parting = trunk.part(np.random.default_rng((_OTHER, seed)).random(len(ids)).tolist())
        if parting is None:
            return trunk.sample
        token, score = parting.token, parting.score
        if token is None:
            others = trunk.named(parting.at)
            token, score = await self._draw_other(prompt.then(ids[: parting.at]), images, params, seed, others, score)
        ids, scores = [*ids[: parting.at], token], [*scores[: parting.at], score]
        if token in params["stop_token_ids"]:
            return make_sample(ids, scores, "stop")
        if len(ids) == params["max_tokens"]:
            return make_sample(ids, scores, "length")
        left = {**params, "max_tokens": params["max_tokens"] - len(ids)}
        rest = await self._draw(prompt.then(ids), images, left, seed)
        return make_sample([*ids, *rest.token_ids], [*scores, *rest.scores], rest.finish_reason)

    async def _grow(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Trunk:
        greedy = {**params, "temperature": 0.0, "logprobs": _NAMED, "n": 1}
        (sample,) = (await self._ask(prompt, images, greedy)).choices
        if not all(sample.named):
            raise PolicyError(
                "the server did not say what else it might have said.",
                remedy="Serve with vLLM 0.25 or newer, or do not have turns branch.",
            )
        return Trunk(sample, self._barred)

    async def _draw_other(
        self,
        prompt: Prompt,
        images: ImageStore,
        params: Mapping[str, Any],
        seed: int,
        others: Sequence[int],
        beyond: float,
    ) -> tuple[int, float]:
        """Draw a token that is none of `others`; `beyond` is the log-probability of all such.

        A server with `processed_logprobs` scores it among such only; any other names, after it and perhaps the barred
        one, the likeliest of `others`.
        """
        bias = {**params["logit_bias"], **{str(token): _NEVER for token in others}}
        once = {**params, "max_tokens": 1, "logprobs": 3, "logit_bias": bias, "seed": seed ^ _OTHER, "n": 1}
        (sample,) = (await self._ask(prompt, images, once)).choices
        among = others[0] not in sample.named[0]
        return sample.token_ids[0], sample.scores[0] + (beyond if among else 0.0)
