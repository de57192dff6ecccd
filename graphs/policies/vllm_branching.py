"""Turns of the same prompt are decoded once: each leaves the trunk where it draws another token.

The server goes on from the prompt greedily, once for all, and names the likeliest tokens of each place with their
probabilities. From these everybody draws a turn of his own, by uniform numbers from his own seed. As long as that is
what the trunk says, nothing is computed for him; where it is another token, the server goes on from there for him
alone. So a turn is distributed as if the server had sampled all of it, and hangs on nobody else's seed.

That saves what a group has in common: most of a turn that the policy is sure of. It is a loss where it is sure of
little, or where nobody shares the prompt: then the trunk is decoded in vain, and the turn waits for it.
"""

import json
import math
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from graphs.policies.sharing import Shared
from graphs.policies.vllm_prompts import Prompt
from graphs.policies.vllm_replies import Reply, Sample, make_sample
from tools.errors import PolicyError
from tools.image_store import ImageStore

_NAMED = 8
"""How many tokens of each place the server names: each costs it some 14 us, and a turn one request if it draws none."""
NEVER = -100
"""The bias that keeps a token from being sampled."""
_OTHER = 2**30
"""Sets the seeds of what is drawn here, and of a single token, apart from that by which the server draws the rest."""
_KEPT = 512
"""Trunks kept: those of 64 groups under way, some 150 bytes a token."""

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
    """The greedy turn of a prompt, and what else might have been said at each place; never `barred`.

    Raises ValueError unless at each place tokens are named, by their ids.
    """

    def __init__(self, sample: Sample, barred: int) -> None:
        self.sample = make_sample(sample.token_ids, sample.scores, sample.finish_reason)
        named = sample.named
        if not all(named):
            raise ValueError("a place without names")
        shape = len(named), max(map(len, named))
        self._tokens, self._scores = np.full(shape, -1, np.int32), np.full(shape, -np.inf)
        for at, place in enumerate(named):
            self._tokens[at, : len(place)], self._scores[at, : len(place)] = [*place], [*place.values()]
        out = self._tokens == barred
        self._whole = 1.0 - np.where(out, np.exp(self._scores), 0.0).sum(1)  # the probability of all the others
        self._scores[out] = -np.inf

    def part(self, uniform: NDArray[np.float64]) -> Parting | None:
        """Return where the turn leaves that is drawn by numbers from [0, 1), one for each token; None if nowhere."""
        heights = np.exp(self._scores).cumsum(1)
        drawn = (heights <= (uniform * self._whole)[:, None]).sum(1)  # beyond the last: none of the named
        beyond = drawn == heights.shape[1]
        tokens = np.where(beyond, -1, np.take_along_axis(self._tokens, drawn[:, None] % heights.shape[1], 1)[:, 0])
        others = np.flatnonzero(tokens != self.sample.token_ids)
        if not len(others):
            return None
        at = int(others[0])
        if beyond[at]:
            return Parting(at, None, math.log(max(self._whole[at] - heights[at, -1], 1e-12)))
        return Parting(at, int(tokens[at]), float(self._scores[at, drawn[at]]))

    def named(self, at: int) -> list[int]:
        """Return the tokens that were named at a place."""
        return [int(token) for token in self._tokens[at][np.isfinite(self._scores[at])]]


class Brancher:
    """Draw turns at temperature 1 and top_p 1; safe for concurrent episodes and several event loops.

    `barred` is never said. A server without `processed_logprobs` gives it a probability, which is allowed for where it
    is among the named; where it is not, tokens beyond the named are drawn too often by that much.
    """

    def __init__(self, ask: Ask, draw: Draw, *, barred: int) -> None:
        self._ask, self._draw, self._barred = ask, draw, barred
        self._trunks = Shared[Trunk](_KEPT)

    def forget(self) -> None:
        """Keep no trunks, after the server's weights have changed."""
        self._trunks.forget()

    async def sample(
        self,
        prompt: Prompt,
        images: ImageStore,
        params: Mapping[str, Any],
        seed: int,
        ended: Callable[[Sequence[int]], bool],
    ) -> Sample:
        """Return the turn of that seed, each id with its score if `params` ask for scores.

        `ended` tells whether ids hold a stop string; one that begins before the parting and ends behind it the server
        does not see, so it samples on for nothing. Raises what asking the server does.
        """
        shown = json.dumps([prompt.whole, [image.sha256 for image in prompt.images]])
        trunk = await self._trunks.get((shown, json.dumps(params)), lambda: self._grow(prompt, images, params))
        ids, scores = trunk.sample.token_ids, trunk.sample.scores
        # Of the prompt, too: where all tasks are played with the same few seeds, each would draw alike in all of them.
        parting = trunk.part(np.random.default_rng((_OTHER, seed, zlib.crc32(shown.encode()))).random(len(ids)))
        if parting is None:
            return trunk.sample
        token, score = parting.token, parting.score
        if token is None:
            others = trunk.named(parting.at)
            token, score = await self._draw_other(prompt.then(ids[: parting.at]), images, params, seed, others, score)
        own, scores = [*ids[: parting.at], token], [*scores[: parting.at], score]
        if token in params["stop_token_ids"] or ended(own):
            return make_sample(own, scores, "stop")
        # The server ends a turn that has no room left, too, and cannot be asked to go on.
        full = trunk.sample.finish_reason == "length" and len(own) == len(ids)
        if full or len(own) == params["max_tokens"]:
            return make_sample(own, scores, "length")
        left = {**params, "max_tokens": params["max_tokens"] - len(own)}
        rest = await self._draw(prompt.then(own), images, left, seed)
        return make_sample([*own, *rest.token_ids], [*scores, *rest.scores], rest.finish_reason)

    async def _grow(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Trunk:
        greedy = {**params, "temperature": 0.0, "logprobs": _NAMED, "n": 1}
        (sample,) = (await self._ask(prompt, images, greedy)).choices
        try:
            return Trunk(sample, self._barred)
        except ValueError as error:
            raise PolicyError(
                f"the server did not say by ids what else it might have said: {error}.",
                remedy="Do not have turns branch with this version of vLLM.",
            ) from error

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

        A server with `processed_logprobs` scores it among such only and names none of `others` beside it. Any other
        names the likeliest of all: the barred one perhaps, but then one of `others`.
        """
        bias = {**params["logit_bias"], **{str(token): NEVER for token in others}}
        once = {**params, "max_tokens": 1, "logprobs": 3, "logit_bias": bias, "seed": seed ^ _OTHER, "n": 1}
        (sample,) = (await self._ask(prompt, images, once)).choices
        among = set(others).isdisjoint(sample.named[0])
        return sample.token_ids[0], sample.scores[0] + (beyond if among else 0.0)
