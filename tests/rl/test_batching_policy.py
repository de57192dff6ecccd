"""BatchingPolicy: company in a wave changes nothing, it equals LocalPolicy, and its scores are the model's."""

import asyncio
import json
import shutil
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tiny_policy import noise, said

from graphs.conversation import Text, Turn
from graphs.policies.base import Completion, Sampling, cut_after
from graphs.policies.batching import BatchingPolicy, _Draw
from graphs.policies.local import LocalPolicy
from tools.errors import PolicyError
from tools.image_store import ImageStore


def conversations(images: ImageStore) -> list[list[Turn]]:
    """Of different lengths, with 0 to 3 pictures of two sizes."""
    talks = []
    for number in range(4):
        shown = [part for i in range(number) for part in (f"\nframe {i} ", noise(10 * number + i, 64 + 64 * (i % 2)))]
        talks.append([said(images, "system", "Find." * (number + 1)), said(images, "user", *shown, " the star")])
    return talks


def complete_all(
    policy: BatchingPolicy | LocalPolicy,
    talks: Sequence[list[Turn]],
    images: ImageStore,
    samplings: Sequence[Sampling],
    most: int | None = None,
) -> list[Completion]:
    """Ask for all at once, for a token more each, or for `most`."""

    async def run() -> list[Completion]:
        asked = (
            policy.complete(talk, images, max_tokens=most or 8 + number, stop=(), sampling=sampling)
            for number, (talk, sampling) in enumerate(zip(talks, samplings, strict=True))
        )
        return list(await asyncio.gather(*asked))

    return asyncio.run(run())


def test_greedy_turns_equal_those_of_the_local_policy(tiny_policy):
    images = ImageStore()
    talks = conversations(images)
    ours = complete_all(BatchingPolicy.load(tiny_policy, device="cpu"), talks, images, [Sampling()] * 4)
    theirs = complete_all(LocalPolicy(tiny_policy, device="cpu"), talks, images, [Sampling()] * 4)
    for one, other in zip(ours, theirs, strict=True):
        assert one.token_ids == other.token_ids
        assert (one.text, one.finish_reason, one.prompt_tokens) == (
            other.text,
            other.finish_reason,
            other.prompt_tokens,
        )
        assert np.allclose(one.logprobs, other.logprobs, atol=1e-5)


def test_company_in_a_wave_does_not_change_what_is_drawn(tiny_policy):
    images = ImageStore()
    talks = conversations(images)
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    samplings = [Sampling(temperature=1.0, top_p=0.9, seed=seed) for seed in (3, 1, 4, 1)]
    together = complete_all(policy, talks, images, samplings)
    alone = []
    for number, (talk, sampling) in enumerate(zip(talks, samplings, strict=True)):
        alone.append(asyncio.run(policy.complete(talk, images, max_tokens=8 + number, stop=(), sampling=sampling)))
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
    assert all(np.allclose(one.logprobs, two.logprobs, atol=1e-5) for one, two in zip(together, alone, strict=True))
    again = complete_all(policy, talks, images, [Sampling(temperature=1.0, seed=seed) for seed in (13, 11, 14, 11)])
    assert [c.token_ids for c in again] != [c.token_ids for c in together]


def test_conversations_that_are_the_same_are_read_once(tiny_policy, monkeypatch):
    images = ImageStore()
    talks = [talk for talk in conversations(images)[1:3] for _ in range(3)]
    samplings = [Sampling(temperature=1.0, seed=seed) for seed in range(6)]
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    wanted = [complete_all(policy, [talk], images, [one])[0] for talk, one in zip(talks, samplings, strict=True)]
    read, rows = policy._read, list[int]()
    monkeypatch.setattr(policy, "_read", lambda requests, cache: rows.append(len(requests)) or read(requests, cache))
    mixed = [talks[at] for at in (3, 0, 4, 1, 5, 2)]
    seeds = [samplings[at] for at in (3, 0, 4, 1, 5, 2)]
    together = dict(zip((3, 0, 4, 1, 5, 2), complete_all(policy, mixed, images, seeds, most=8), strict=True))
    assert rows == [2]
    for at, one in enumerate(wanted):
        assert together[at].token_ids == one.token_ids
        assert np.allclose(together[at].logprobs, one.logprobs, atol=1e-5)
    assert len({one.token_ids for one in wanted}) > 2


def test_turns_end_at_every_end_that_the_checkpoint_names(tiny_policy, tmp_path):
    """As at a server of the same checkpoint, which ends them there whatever it is asked."""
    images = ImageStore()
    talks = conversations(images)[:1]
    (whole,) = complete_all(LocalPolicy(tiny_policy, device="cpu"), talks, images, [Sampling()])
    assert whole.finish_reason == "length"
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_policy, folder)
    told = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(
        json.dumps({**told, "eos_token_id": [told["eos_token_id"], whole.token_ids[0]]})
    )
    for kind in (LocalPolicy(folder, device="cpu"), BatchingPolicy.load(folder, device="cpu")):
        (ended,) = complete_all(kind, talks, images, [Sampling()])
        assert (ended.token_ids, ended.finish_reason, ended.text) == (whole.token_ids[:1], "stop", "")


def test_draws_follow_the_distribution():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).repeat(4000, 1)
    logits = torch.cat([logits, torch.full((4000, 1), -9.0)], 1)
    draw = _Draw([Sampling(temperature=0.7, seed=seed) for seed in range(4000)], [1] * 4000, 4, torch.device("cpu"))
    tokens, scores = draw(logits)
    wanted = (logits[0] / 0.7).softmax(-1)
    found = torch.bincount(tokens, minlength=5) / 4000
    assert (found - wanted).abs().max() < 0.03
    assert torch.allclose(scores, (logits / 0.7).log_softmax(-1).gather(-1, tokens[:, None])[:, 0])


def test_top_p_leaves_the_tail_out():
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(500, 1)
    draw = _Draw([Sampling(temperature=1.0, top_p=0.6, seed=s) for s in range(500)], [1] * 500, 3, torch.device("cpu"))
    tokens, scores = draw(logits)
    assert set(tokens.tolist()) == {0, 1}
    assert torch.allclose(scores.exp(), torch.tensor([0.625, 0.375])[tokens])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_picture_is_never_sampled(temperature):
    logits = torch.tensor([[0.0, 5.0, 1.0]]).repeat(300, 1)
    samplings = [Sampling(temperature=temperature, seed=seed) for seed in range(300)]
    tokens, scores = _Draw(samplings, [1] * 300, 1, torch.device("cpu"))(logits)
    assert set(tokens.tolist()) == ({2} if temperature == 0 else {0, 2})
    # scored as the trainer will: by the whole distribution
    assert torch.allclose(scores, logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0])


def test_a_stop_string_ends_the_turn_and_stays(tiny_policy):
    images = ImageStore()
    [talk, *_] = conversations(images)
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    free = asyncio.run(policy.complete(talk, images, max_tokens=12, stop=(), sampling=Sampling(temperature=1, seed=2)))
    stop = policy._tokenizer.decode(list(free.token_ids[:4]))[-2:]
    cut = asyncio.run(
        policy.complete(talk, images, max_tokens=12, stop=(stop,), sampling=Sampling(temperature=1, seed=2))
    )
    assert cut.text.endswith(stop)
    assert cut.finish_reason == "stop"
    assert cut.token_ids == free.token_ids[: len(cut.token_ids)]


def test_text_ends_with_the_stop_string_also_if_a_token_spells_more():
    assert cut_after("see <a>\nmore </a> and", ("</a>", "<a>")) == "see <a>"
    assert cut_after("nothing", ("</a>",)) == "nothing"


def test_training_mode_is_left_as_it_was(tiny_policy):
    images = ImageStore()
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    policy.model.train()
    complete_all(policy, conversations(images), images, [Sampling()] * 4)
    assert policy.model.training


def test_a_wave_that_fails_tells_everyone(tiny_policy, monkeypatch):
    images = ImageStore()
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    monkeypatch.setattr(policy, "_decode", lambda requests: (_ for _ in ()).throw(RuntimeError("no memory")))
    with pytest.raises(PolicyError, match="no memory"):
        complete_all(policy, conversations(images), images, [Sampling()] * 4)


def test_turns_with_ids_are_never_rendered_again(tiny_policy):
    """An id that the text would not give stays what was sampled."""
    images = ImageStore()
    policy = BatchingPolicy.load(tiny_policy, device="cpu")
    talk = [said(images, "user", "Find."), Turn("assistant", (Text("other words"),), (5, 6, 7), (0.0, 0.0, 0.0))]
    ids = policy.chatml.encode(talk).ids
    assert (5, 6, 7) in list(zip(ids, ids[1:], ids[2:], strict=False))
