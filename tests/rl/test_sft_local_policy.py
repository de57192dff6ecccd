"""LocalPolicy with random weights: a cache kept across turns changes nothing, and transformers agrees."""

import asyncio
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_policy import noise, said

from graphs.conversation import Text, Turn
from graphs.policies import local
from graphs.policies.base import Completion, Sampling
from graphs.policies.chatml import rope_positions
from graphs.policies.local import LocalPolicy
from graphs.policies.vision import patchify
from tools.errors import PolicyError
from tools.image_store import ImageStore

VARIED = {"temperature": 1.0, "seed": 5}
"""Greedy turns of random weights say one word again and again."""


def complete(
    policy: LocalPolicy, turns: list[Turn], images: ImageStore, stop: tuple[str, ...] = (), **sampling: Any
) -> Completion:
    settings = Sampling(**sampling)
    return asyncio.run(policy.complete(turns, images, max_tokens=10, stop=stop, sampling=settings))


def opening(images: ImageStore, seed: int, query: str = "the star") -> list[Turn]:
    frames = [part for i in range(4) for part in (f"\nframe {i} ", noise(seed + i, 64))]
    return [said(images, "system", "Find the target."), said(images, "user", *frames, f"\n\nPlease find '{query}'.")]


def play(policy: LocalPolicy, images: ImageStore, seed: int) -> tuple[list[Turn], list[Completion]]:
    """Three turns, with a text and a picture in between."""
    turns, completions = opening(images, seed), []
    for observation in (("<information>1. (Title: A) b</information>\n\n",), ("Here: ", noise(seed + 9, 128)), ()):
        completion = complete(policy, turns, images, **VARIED)
        completions.append(completion)
        turns.append(Turn("assistant", (Text(completion.text),), completion.token_ids, completion.logprobs))
        if observation:
            turns.append(said(images, "user", *observation))
    return turns, completions


def reference(policy: LocalPolicy, turns: list[Turn], images: ImageStore) -> list[tuple[float, ...]]:
    """The log-probabilities of every sampled token, by one full forward pass of transformers, its own positions."""
    encoded = policy.chatml.encode(turns, open_reply=False)
    model, ids = policy._model, torch.tensor([encoded.ids])
    with torch.inference_mode():
        logits = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == policy.chatml.image_pad).int(),
            pixel_values=torch.cat([patchify(images.get(ref.sha256)) for ref in encoded.images]),
            image_grid_thw=torch.tensor([[1, ref.height // 16, ref.width // 16] for ref in encoded.images]),
        ).logits[0]
    logp = logits.log_softmax(-1)
    found, at = [], 0
    for turn in turns:
        length = len(policy.chatml.encode_turn(turn))
        if turn.token_ids is not None:
            start = at + len(policy._encode("<|im_start|>assistant\n"))
            found.append(tuple(float(logp[start + i - 1, token]) for i, token in enumerate(turn.token_ids)))
        at += length
    return found


def test_turn_by_turn_equals_fresh_runs_and_one_full_pass(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    turns, kept = play(policy, images, 0)
    whole = reference(policy, turns, images)
    for number, completion in enumerate(kept):
        before = turns[: 2 + 2 * number]
        fresh = complete(LocalPolicy(tiny_policy, device="cpu"), before, images, **VARIED)
        assert fresh.token_ids == completion.token_ids
        assert fresh.logprobs == pytest.approx(completion.logprobs, abs=1e-4)
        assert whole[number] == pytest.approx(completion.logprobs, abs=1e-4)
    assert len({token for completion in kept for token in completion.token_ids or ()}) > 3  # no degenerate model


def test_other_pictures_at_the_same_place_are_not_mistaken_for_those_remembered(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    for seed in (0, 100, 0):
        turns = opening(images, seed)
        fresh = complete(LocalPolicy(tiny_policy, device="cpu"), turns, images)
        again = complete(policy, turns, images)
        assert again.token_ids == fresh.token_ids
        assert again.logprobs == pytest.approx(fresh.logprobs, abs=1e-4)


def test_conversations_in_turns_do_not_disturb_each_other(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    alone = [play(LocalPolicy(tiny_policy, device="cpu"), images, seed)[0] for seed in (0, 50)]
    for end in (2, 4, 6):
        for turns in alone:
            completion = complete(policy, turns[:end], images, **VARIED)
            assert completion.token_ids == turns[end].token_ids
            assert completion.logprobs == pytest.approx(turns[end].logprobs, abs=1e-4)


def test_the_same_conversation_twice_and_shortened(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    turns, kept = play(policy, images, 7)
    for end, completion in ((6, kept[2]), (6, kept[2]), (4, kept[1]), (2, kept[0])):
        again = complete(policy, turns[:end], images, **VARIED)
        assert again.token_ids == completion.token_ids
        assert again.logprobs == pytest.approx(completion.logprobs, abs=1e-4)


class Guesses:
    """Guesses of a test's own in place of those of `Drafts`."""

    def __init__(self, guesses: Iterator[Sequence[int]]) -> None:
        self._guesses = guesses

    def learn(self, ids: Sequence[int]) -> None:
        pass

    def guess(self, ids: Sequence[int]) -> tuple[int, ...]:
        return tuple(next(self._guesses, ()))


def counted(policy: LocalPolicy) -> list[int]:
    """How many tokens each pass was fed, from now on."""
    fed, step = [], policy._step

    def one(memory: Any, tokens: tuple[int, ...], position: int) -> torch.Tensor:
        fed.append(len(tokens))
        return step(memory, tokens, position)

    policy._step = one  # type: ignore[method-assign]
    return fed


# Some tokens that are going to come, wherever that is, and then some that may be.
GUESS = st.tuples(st.integers(1, 9), st.integers(0, 8), st.lists(st.integers(0, 1500), max_size=4))


@settings(max_examples=40, deadline=None)
@given(
    drawn=st.lists(GUESS, max_size=20),
    temperature=st.sampled_from([0.0, 1.0]),
    stops_at=st.none() | st.integers(0, 9),
    ends_at=st.none() | st.integers(0, 9),
)
def test_guesses_right_and_wrong_change_nothing_of_what_is_said(
    tiny_policy: Path,
    drawn: list[tuple[int, int, list[int]]],
    temperature: float,
    stops_at: int | None,
    ends_at: int | None,
) -> None:
    images = ImageStore()
    turns, plain, guessing = opening(images, 3), *(LocalPolicy(tiny_policy, device="cpu") for _ in range(2))
    plain._drafts = Guesses(iter(()))  # type: ignore[assignment]
    true = complete(plain, turns, images, temperature=temperature, seed=5).token_ids or ()
    stop = () if stops_at is None else (plain._tokenizer.decode([true[stops_at]]),)
    ends = {*plain._ends, *(() if ends_at is None else (true[ends_at],))}
    plain._ends = guessing._ends = ends
    first = complete(plain, turns, images, stop, temperature=temperature, seed=5)
    guesses = [[*true[start : start + right], *others] for start, right, others in drawn]
    guessing._drafts = Guesses(iter(guesses))  # type: ignore[assignment]
    for _ in range(2):  # the second time beside what the first left in the cache
        again = complete(guessing, turns, images, stop, temperature=temperature, seed=5)
        assert (again.token_ids, again.text) == (first.token_ids, first.text)
        assert again.finish_reason == first.finish_reason
        assert again.logprobs == pytest.approx(first.logprobs, abs=1e-4)


def test_an_end_that_was_guessed_is_not_part_of_the_text(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    true = complete(policy, opening(images, 3), images, **VARIED).token_ids or ()
    at = next(at for at in range(4, 10) if true[at] not in true[:at])
    policy._ends, policy._drafts = {true[at]}, Guesses(iter([true[1:]]))  # type: ignore[assignment]
    ended = complete(policy, opening(images, 3), images, **VARIED)
    assert ended.token_ids == true[: at + 1]
    assert ended.text == policy._tokenizer.decode(list(true[:at]))
    assert ended.finish_reason == "stop"


def test_no_more_is_guessed_than_may_be_said(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    true = complete(policy, opening(images, 3), images, **VARIED).token_ids or ()
    policy._drafts = Guesses(iter([[*true[1:], *range(30)]]))  # type: ignore[assignment]
    fed = counted(policy)
    assert complete(policy, opening(images, 3), images, **VARIED).token_ids == true
    assert fed == [9]  # the first, which was drawn from what was read, and eight more: the tenth is drawn, not fed


def test_what_was_said_before_is_said_again_in_fewer_passes(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    fed = counted(policy)
    first = complete(policy, opening(images, 3), images, **VARIED)
    assert len(first.token_ids or ()) == 10
    fed.clear()
    assert complete(policy, opening(images, 3), images, **VARIED).token_ids == first.token_ids
    assert len(fed) <= 3


def test_in_bfloat16_nothing_is_guessed(tiny_policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = local._load
    monkeypatch.setattr(local, "_load", lambda *of: (deepcopy(load(*of)[0]).to(torch.bfloat16), load(*of)[1]))
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    fed = counted(policy)
    for _ in range(2):
        complete(policy, opening(images, 3), images, **VARIED)
    assert set(fed) == {1}


def test_sampling_is_seeded_and_its_logprobs_are_those_of_the_draw(tiny_policy: Path) -> None:
    images = ImageStore()
    turns, policy = opening(images, 3), LocalPolicy(tiny_policy, device="cpu")
    one, two, other = (complete(policy, turns, images, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert one.token_ids == two.token_ids
    assert one.token_ids != other.token_ids
    spoken = [*turns, Turn("assistant", (Text(one.text),), one.token_ids, one.logprobs)]
    assert reference(policy, spoken, images)[0] == pytest.approx(one.logprobs, abs=1e-4)


def test_positions_are_those_of_transformers(tiny_policy: Path) -> None:
    images, policy = ImageStore(), LocalPolicy(tiny_policy, device="cpu")
    encoded = policy.chatml.encode([*opening(images, 1), said(images, "user", noise(4, 128), " and ", noise(5, 32))])
    ids = torch.tensor([encoded.ids])
    grids = [(ref.height // 32, ref.width // 32) for ref in encoded.images]
    theirs, _ = policy._model.model.get_rope_index(
        ids,
        (ids == policy.chatml.image_pad).int(),
        image_grid_thw=torch.tensor([[1, 2 * rows, 2 * columns] for rows, columns in grids]),
    )
    assert (torch.from_numpy(rope_positions(encoded.ids, policy.chatml.image_pad, grids)) == theirs[:, 0]).all()


def test_a_missing_or_broken_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no policy checkpoint"):
        LocalPolicy(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PolicyError, match="loading"):
        LocalPolicy(tmp_path)
