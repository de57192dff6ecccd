"""Brancher: turns are distributed and scored as if the server had sampled them, in whatever company."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.conversation import ImageRef
from graphs.policies import vllm_branching
from graphs.policies.vllm_branching import Brancher, Trunk
from graphs.policies.vllm_prompts import Piece, Prompt, Span
from graphs.policies.vllm_replies import Reply, Sample
from tools.errors import PolicyError
from tools.image_store import ImageStore

BARRED, END, WORDS = 4, 5, 6
MOST = 3
PARAMS = {
    "max_tokens": MOST, "temperature": 1.0, "top_p": 1.0, "logprobs": None, "logit_bias": {str(BARRED): -100},
    "stop_token_ids": [END],
}  # fmt: skip
HELLO = Prompt([Piece((1, 1), "1,1", "1,1")])


class Model:
    """A server whose next token has a distribution of its own after every prefix; counts what it computes."""

    def __init__(self, seed: int, *, processed: bool, sure: float = 1.0, room: int = 100, dreams: float = -3.0) -> None:
        """`dreams`: by how much it would rather say what is barred."""
        self._seed, self._processed, self._sure, self._room, self._dreams = seed, processed, sure, room, dreams
        self.requests = self.tokens = 0

    def chances(self, ids: tuple[int, ...], bias: Mapping[str, float] | None = None) -> np.ndarray[Any, Any]:
        """The probability of each token, with the biases applied."""
        logits = self._sure * np.random.default_rng([self._seed, *ids]).normal(size=WORDS)
        logits[BARRED] += self._dreams * self._sure
        for token, value in (bias or {}).items():
            logits[int(token)] += value
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())

    async def ask(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Reply:
        await asyncio.sleep(0)
        assert params["n"] == 1
        assert params["temperature"] in (0.0, 1.0)
        assert len(prompt.ids) < self._room, "vLLM refuses a prompt behind which there is no room"
        self.requests += 1
        rng = np.random.default_rng(params.get("seed", 0))
        ids, content = list[int](), list[dict[str, Any]]()
        while len(ids) < min(params["max_tokens"], self._room - len(prompt.ids)) and END not in ids:
            after = (*prompt.ids, *ids)
            biased = self.chances(after, params["logit_bias"])
            ids.append(int(biased.argmax() if params["temperature"] == 0 else rng.choice(WORDS, p=biased)))
            told = np.log(np.maximum(biased if self._processed else self.chances(after), 1e-300))
            # As vLLM does: the sampled one, then the likeliest, so many in all.
            best = [ids[-1], *(int(token) for token in np.argsort(-told) if token != ids[-1])]
            if params["max_tokens"] == 1 and not self._processed:  # computed otherwise, a tie may fall otherwise
                del best[2 if best[1] == BARRED else 1]
            top = best[: max(params["logprobs"], 1)] if params["logprobs"] is not None else []
            named = [{"token": f"token_id:{token}", "logprob": float(told[token])} for token in top]
            content.append({"token": "", "logprob": float(told[ids[-1]]), "top_logprobs": named})
        self.tokens += len(ids)
        scored = None if params["logprobs"] is None else {"content": content}
        finish = "stop" if ids[-1] == END else "length"
        return Reply.model_validate({"choices": [{"token_ids": ids, "logprobs": scored, "finish_reason": finish}]})

    async def draw(self, prompt: Prompt, images: ImageStore, params: Mapping[str, Any], seed: int) -> Sample:
        (sample,) = (await self.ask(prompt, images, {**params, "seed": seed, "n": 1})).choices
        return sample


async def sample(model: Model, seeds: range, params: Mapping[str, Any] = PARAMS) -> list[Sample]:
    brancher = Brancher(model.ask, model.draw, barred=BARRED)
    return await asyncio.gather(*(brancher.sample(HELLO, ImageStore(), params, seed, never) for seed in seeds))


def never(ids: Sequence[int]) -> bool:
    return False


def turns() -> list[tuple[int, ...]]:
    """Every turn that can be: up to three tokens, the end last."""
    words = [token for token in range(WORDS) if token not in (BARRED, END)]
    ended = [(*before, END) for length in range(MOST) for before in product(words, repeat=length)]
    return [*ended, *product(words, repeat=MOST)]


@pytest.mark.parametrize(
    ("processed", "named", "dreams"),
    [(True, 20, -3), (True, 2, -3), (True, 1, -3), (False, 20, -3), (False, 5, -3), (False, 4, 4)],
)
async def test_turns_are_distributed_and_scored_as_if_sampled_whole(
    monkeypatch: pytest.MonkeyPatch, processed: bool, named: int, dreams: float
) -> None:
    monkeypatch.setattr(vllm_branching, "_NAMED", named)
    model = Model(7, processed=processed, dreams=dreams)
    seen = await sample(model, range(6_000), {**PARAMS, "logprobs": 0})
    counted = Counter(tuple(each.token_ids) for each in seen)
    off = 0.0
    for turn in turns():
        each = [model.chances((1, 1, *turn[:at]), {str(BARRED): -100})[token] for at, token in enumerate(turn)]
        expected = len(seen) * math.prod(each)
        off += (counted.pop(turn, 0) - expected) ** 2 / expected
    assert not counted
    free = len(turns()) - 1
    assert abs(off - free) < 4 * math.sqrt(2 * free)
    for one in seen:
        bias = {str(BARRED): -100.0} if processed else {}
        places = [model.chances((1, 1, *one.token_ids[:at]), bias) for at in range(len(one.token_ids))]
        assert one.scores == pytest.approx([math.log(p[t]) for p, t in zip(places, one.token_ids, strict=True)])
        assert one.finish_reason == ("stop" if one.token_ids[-1] == END else "length")


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.integers(1, 20), st.integers(0, 100))
def test_nobodys_turn_hangs_on_the_others(world: int, processed: bool, named: int, first: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_branching, "_NAMED", named)
        together = asyncio.run(sample(Model(world, processed=processed), range(first, first + 8)))
        alone = [
            asyncio.run(sample(Model(world, processed=processed), range(n, n + 1)))[0] for n in range(first, first + 8)
        ]
    assert [each.token_ids for each in together] == [each.token_ids for each in alone]


async def test_a_sure_policy_computes_a_groups_turn_hardly_more_than_once() -> None:
    model = Model(4, processed=True, sure=8.0)
    seen = await sample(model, range(64))
    parted = [each for each in seen if each.token_ids != seen[0].token_ids]
    assert 0 < len(parted) < 16
    assert model.requests <= 1 + len(parted)
    assert model.tokens < sum(len(each.token_ids) for each in seen) / 4


async def test_the_same_seed_draws_otherwise_of_another_prompt() -> None:
    """To the model all ten prompts are one: tasks are no sample if all of them share their luck."""

    class Blind(Model):
        def chances(self, ids: tuple[int, ...], bias: Mapping[str, float] | None = None) -> np.ndarray[Any, Any]:
            return super().chances((), bias)

    model = Blind(7, processed=True)
    brancher = Brancher(model.ask, model.draw, barred=BARRED)
    firsts = {
        (await brancher.sample(HELLO.then([other]), ImageStore(), PARAMS, 3, never)).token_ids[0] for other in range(10)
    }
    assert len(firsts) > 1


async def test_a_trunk_is_grown_once_until_it_is_to_be_forgotten() -> None:
    model = Model(0, processed=True, sure=8.0)
    brancher = Brancher(model.ask, model.draw, barred=BARRED)
    for seed in range(3):
        await brancher.sample(HELLO, ImageStore(), PARAMS, seed, never)
    assert model.requests == 1
    brancher.forget()
    await brancher.sample(HELLO, ImageStore(), PARAMS, 3, never)
    await brancher.sample(HELLO, ImageStore(), {**PARAMS, "max_tokens": 2}, 3, never)
    await brancher.sample(HELLO.then([2]), ImageStore(), PARAMS, 3, never)
    assert model.requests == 4


async def test_a_trunk_does_not_keep_what_it_has_read() -> None:
    reply = await Model(7, processed=True).ask(
        HELLO, ImageStore(), {**PARAMS, "temperature": 0.0, "logprobs": 8, "n": 1}
    )
    (sample,) = reply.choices
    assert all(sample.named)
    kept = Trunk(sample, BARRED).sample
    assert (kept.token_ids, kept.scores) == (sample.token_ids, sample.scores)
    assert not any(kept.named)


async def test_other_pictures_are_another_trunk_and_go_with_what_follows() -> None:
    model = Model(0, processed=True, sure=8.0)
    asked: list[Prompt] = []

    async def ask(prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Reply:
        asked.append(prompt)
        return await model.ask(prompt, images, params)

    brancher = Brancher(ask, model.draw, barred=BARRED)
    for name in ("a", "b", "a"):
        shown = Prompt([Piece((1, 1), "1,1", "1,1", (Span(ImageRef(name * 64, 32, 32), 0, 1),))])
        await brancher.sample(shown, ImageStore(), PARAMS, 3, never)
        assert shown.then([2, 3]).images == shown.images
        assert shown.then([2, 3]).ids == [1, 1, 2, 3]
    assert [prompt.images[0].sha256[0] for prompt in asked] == ["a", "b"]


async def test_a_turn_that_fills_the_context_is_not_gone_on_with() -> None:
    model = Model(7, processed=True, room=len(HELLO.ids) + MOST)
    seen = await sample(model, range(200), {**PARAMS, "max_tokens": 50})
    assert {len(each.token_ids) for each in seen if each.finish_reason == "length"} == {MOST}
    assert len({tuple(each.token_ids) for each in seen}) > 10


async def test_a_turn_that_spells_a_stop_is_not_gone_on_with() -> None:
    model = Model(7, processed=True)
    brancher = Brancher(model.ask, model.draw, barred=BARRED)
    seen = [await brancher.sample(HELLO, ImageStore(), PARAMS, seed, lambda ids: ids[-1] == 0) for seed in range(64)]
    stopped = [each for each in seen if each.token_ids[-1] == 0]
    assert {each.finish_reason for each in stopped if len(each.token_ids) < MOST} == {"stop"}


@pytest.mark.parametrize("named", [{}, {"top_logprobs": []}, {"top_logprobs": [{"token": "hello", "logprob": -0.1}]}])
async def test_a_server_that_names_nothing_is_told_of(named: dict[str, Any]) -> None:
    async def ask(prompt: Prompt, images: ImageStore, params: Mapping[str, Any]) -> Reply:
        scored = {"content": [{"logprob": -0.5, **named}]}
        return Reply.model_validate({"choices": [{"token_ids": [2], "logprobs": scored, "finish_reason": "length"}]})

    brancher = Brancher(ask, Model(1, processed=True).draw, barred=BARRED)
    with pytest.raises(PolicyError, match="what else it might have said"):
        await brancher.sample(HELLO, ImageStore(), PARAMS, 1, never)
