"""VLLMTokenPolicy: exactly our ids go out, exactly the sampled ones come in, and each picture travels once."""

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from chat_server import Answer, error, hang, send
from graph_stubs import clip, context
from token_server import TokenServer, encode, scores, token_server, tokens

from evals.contexts import open_policy
from graphs.context import Context
from graphs.conversation import ImageRef, Text, Turn
from graphs.dialects.seg_research import answer_turn, keyframe_turn
from graphs.endings import Ending
from graphs.episode import Task, run_episode
from graphs.policies import vllm_molds, vllm_renderer, vllm_tokens
from graphs.policies.base import Completion, Sampling
from graphs.policies.coalescing import Coalescer
from graphs.policies.loading import EMBEDDED_FOLDER, load_policy
from graphs.policies.vision import patchify
from graphs.policies.vllm_molds import cut_patches, find_mold, probe
from graphs.policies.vllm_pictures import Holdings
from graphs.policies.vllm_tokens import VLLMTokenPolicy
from graphs.profiles import get_profile
from rl.commands.record import RecordOptions, record_episodes
from rl.records import check_record
from rl.records.encode import Origin, to_record
from rl.rewards.segscout import Segscout
from rl.rollouts import Runner
from rl.stream import check_images, to_stream
from rl.tasks.emblems import EmblemsSource
from tools.errors import InputError, PolicyError
from tools.image_store import ImageStore

STOP = ("</search>", "</keyframe>", "</answer>")


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as running:
        yield running


def policy(server: TokenServer, **settings: object) -> VLLMTokenPolicy:
    return VLLMTokenPolicy(server.url, **({"retries": 2, "pause": 0.01, "timeout": 5.0} | settings))  # type: ignore[arg-type]


def shown(images: ImageStore, *sides: int) -> Turn:
    """A turn of pictures that all differ, with words between them."""
    parts: list[Text | ImageRef] = [Text("Find it.")]
    for number, side in enumerate(sides):
        picture = np.random.default_rng(number).integers(0, 255, (side, 2 * side, 3), np.uint8)
        parts += [Text(f"\n{number} "), ImageRef(images.put(picture), 2 * side, side)]
    return Turn("user", tuple(parts))


async def ask(policy: VLLMTokenPolicy, *turns: Turn, images: ImageStore | None = None) -> Completion:
    conversation = turns or (Turn("user", (Text("hi"),)),)
    return await policy.complete(
        conversation, images or ImageStore(), max_tokens=50, stop=STOP, sampling=Sampling(temperature=0.5, seed=3)
    )


async def failure(policy: VLLMTokenPolicy, *turns: Turn, images: ImageStore | None = None) -> str:
    with pytest.raises(PolicyError) as caught:
        await ask(policy, *turns, images=images)
    return str(caught.value)


async def test_our_ids_go_out_and_theirs_come_in(server: TokenServer) -> None:
    images = ImageStore()
    asked = policy(server)
    ours = [*encode("<answer> none  </answer>"), asked.chatml.end_of_turn]
    sampled = Turn("assistant", (Text("<answer> none  </answer>"),), tuple(ours), tuple(scores(len(ours))))
    talk = (Turn("system", (Text("Be brief."),)), shown(images, 32, 64), sampled, shown(images, 32))
    server.says = ["<keyframe> 8 </keyframe>\n<answer>"]
    completion = await ask(asked, *talk, images=images)
    request = server.requests[0]
    encoded = asked.chatml.encode(talk)
    assert request["token_ids"] == list(encoded.ids)
    assert [place["length"] for place in request["features"]["mm_placeholders"]["image"]] == [2, 8, 2]
    assert request["model"] == "small"
    assert request["sampling_params"] == {
        "max_tokens": 50, "temperature": 0.5, "top_p": 1.0, "seed": 3, "logprobs": 0, "output_kind": 2,
        "stop_token_ids": sorted([asked.chatml.end_of_turn, *(encode(stop)[0] for stop in STOP)]), "detokenize": False,
        "logit_bias": {str(asked.chatml.image_pad): -100}, "n": 1,
    }  # fmt: skip
    ids = encode("<keyframe> 8 </keyframe>")
    assert completion == Completion(
        "<keyframe> 8 </keyframe>", "stop", len(encoded.ids), len(ids), tuple(ids), tuple(scores(len(ids)))
    )


async def test_who_only_wants_an_answer_asks_for_no_scores(server: TokenServer) -> None:
    asked = await open_policy(f"tokens+{server.url}", None)
    assert isinstance(asked, VLLMTokenPolicy)
    completion = await ask(asked)
    assert server.requests[0]["sampling_params"]["logprobs"] is None
    assert completion.token_ids == tuple(encode("hello"))
    assert completion.logprobs is None
    await asked.close()


async def test_the_end_of_turn_is_an_id_but_no_text(server: TokenServer) -> None:
    asked = policy(server)
    ids = [*encode("I do not know"), asked.chatml.end_of_turn]
    server.says = [tokens(ids), tokens(ids[:-1], finish="length")]
    completion = await ask(asked)
    assert (completion.text, completion.token_ids) == ("I do not know", tuple(ids))
    completion = await ask(asked)
    assert (completion.text, completion.finish_reason) == ("I do not know", "length")


async def test_stops_that_are_no_tokens_are_found_by_the_server(server: TokenServer) -> None:
    images, asked = ImageStore(), policy(server)
    turn = Turn("user", (Text("hi"),))
    await asked.complete((turn,), images, max_tokens=5, stop=("</answer>", "that is all"), sampling=Sampling())
    params = server.requests[0]["sampling_params"]
    assert params["stop"] == ["</answer>", "that is all"]
    assert params["stop_token_ids"] == [asked.chatml.end_of_turn]
    assert params["include_stop_str_in_output"]
    assert "detokenize" not in params


@pytest.mark.parametrize("finish", ["stop", "length"])
async def test_a_stop_that_is_spelt_with_other_tokens_ends_the_turn_as_the_server_would(
    server: TokenServer, finish: str
) -> None:
    asked = policy(server)
    spelt = [*encode("<answer> none </"), *encode("answer"), *encode(">")]
    assert encode("</answer>")[0] not in spelt
    for beyond in ([], [asked.chatml.end_of_turn], [*encode(" and more"), *encode("</answer>")]):
        server.says = [tokens([*spelt, *beyond], finish=finish)]
        completion = await ask(asked)
        assert completion.token_ids == tuple(spelt)
        assert completion.logprobs == tuple(scores(len(spelt)))
        assert (completion.text, completion.finish_reason) == ("<answer> none </answer>", "stop")


async def test_a_growing_conversation_is_encoded_turn_by_turn(server: TokenServer) -> None:
    asked = policy(server)
    encoded: list[str] = []
    slow = asked.chatml._encode
    asked.chatml._encode = lambda text: encoded.append(text) or slow(text)  # type: ignore[assignment, func-returns-value]
    talk = [Turn("user", (Text(f"question {number}"),)) for number in range(5)]
    for number in range(5):
        await ask(asked, *talk[: number + 1])
    assert len([text for text in encoded if "question" in text]) == 5


# Pictures.


async def test_pictures_travel_once(server: TokenServer) -> None:
    images = ImageStore()
    asked = policy(server)
    turn = shown(images, 32, 64)
    for _ in range(3):
        await ask(asked, turn, images=images)
    assert (server.renders, server.carried, len(server.requests)) == ([1, 1], 2, 3)
    told = [request["features"]["kwargs_data"]["image"] for request in server.requests]
    assert None not in told[0]
    assert told[1:] == [[None, None]] * 2
    await ask(asked, turn, shown(images, 32, 64, 32), images=images)
    assert (server.renders, server.carried) == ([1, 1], 3)
    assert server.requests[-1]["features"]["kwargs_data"]["image"][:-1] == [None] * 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
async def test_a_picture_of_each_size_is_rendered_and_all_others_are_made_alike(
    server: TokenServer, dtype: torch.dtype
) -> None:
    server.dtype = dtype  # the server asserts that each item is what it would have made
    images = ImageStore()
    asked = policy(server)
    flat = [ImageRef(images.put(np.full((64, 32, 3), grey, np.uint8)), 32, 64) for grey in (0, 127, 255)]
    await asyncio.gather(*(ask(asked, shown(images, 32, 64, 32, 64), images=images) for _ in range(8)))
    await ask(asked, Turn("user", tuple(flat)), images=images)
    assert (sorted(server.renders), server.carried) == ([1, 1, 1], 7)


async def test_a_server_that_cuts_pictures_otherwise_renders_each(server: TokenServer) -> None:
    server.inverted = True
    images = ImageStore()
    asked = policy(server)
    await ask(asked, shown(images, 32, 64), images=images)
    await ask(asked, shown(images, 32, 64, 32, 96), images=images)
    assert (server.renders, server.carried) == ([1, 2, 2], 4)


def test_patches_are_those_of_the_vision_part() -> None:
    picture = probe(96, 64)
    assert set(picture.flat) == set(range(256))
    for dtype, width in vllm_molds._DTYPES.items():
        values = vllm_molds._SCALED[0].to(dtype).view(torch.uint8).numpy().view(width)
        theirs = patchify(picture).to(dtype).view(torch.uint8).numpy().tobytes()
        assert cut_patches(picture, values, 16, 2).tobytes() == theirs


def test_torchvision_scales_otherwise_in_the_last_bit() -> None:
    picture = probe(32, 32)
    blocks = (patchify(picture) + 1.0) * 127.5
    pixels = ((blocks.round() - 127.5) / 127.5).numpy().tobytes()
    assert pixels != patchify(picture).numpy().tobytes()
    mold = find_mold(base64.b64encode(b"head" + pixels + b"tail"), picture, 16, 2)
    assert mold is not None
    assert base64.b64decode(mold.fill(picture)) == b"head" + pixels + b"tail"


def test_an_item_in_which_pixels_stand_twice_is_no_mold() -> None:
    picture = probe(32, 32)
    pixels = patchify(picture).numpy().tobytes()
    assert find_mold(base64.b64encode(b"head" + pixels + b"tail"), picture, 16, 2) is not None
    assert find_mold(base64.b64encode(b"head" + pixels + b"tail" + pixels), picture, 16, 2) is None


async def test_episodes_that_show_the_same_pictures_send_them_once(server: TokenServer) -> None:
    asked = policy(server)
    stores = [ImageStore() for _ in range(8)]
    for _ in range(2):
        await asyncio.gather(*(ask(asked, shown(images, 32, 64), images=images) for images in stores))
    assert (server.renders, server.carried, len(server.requests)) == ([1, 1], 2, 16)


async def test_those_who_wait_for_pictures_wait_for_one_token_only(server: TokenServer) -> None:
    asked = policy(server)
    stores = [ImageStore() for _ in range(3)]
    await asyncio.gather(*(ask(asked, shown(images, 32), images=images) for images in stores))
    (carrier,) = server.sent
    assert carrier["sampling_params"]["max_tokens"] == 1
    assert carrier["token_ids"] == server.requests[0]["token_ids"]
    await ask(asked, shown(stores[0], 64), images=stores[0])
    await ask(asked, shown(stores[0], 96), images=stores[0])
    wanted = [request["sampling_params"]["max_tokens"] for request in server.sent]
    assert wanted == [1, 1, 50]  # as the last picture was shared the next may be; that was not, so the third is not


def test_what_one_event_loop_sent_another_need_not(server: TokenServer) -> None:
    images = ImageStore()
    asked = policy(server)

    async def once() -> None:
        await ask(asked, shown(images, 32), images=images)
        await asked.close()

    asyncio.run(once())
    asyncio.run(once())
    assert (server.renders, server.carried) == ([1], 1)


@pytest.mark.parametrize("version", ["0.25.1", "0.31.0"])
async def test_lost_pictures_are_sent_again(server: TokenServer, version: str) -> None:
    server.version = version
    images = ImageStore()
    asked = policy(server)
    await ask(asked, shown(images, 32, 64), images=images)
    server.held.clear()
    texts = await asyncio.gather(*(ask(asked, shown(images, 32, 64), images=images) for _ in range(8)))
    assert {completion.text for completion in texts} == {"hello"}
    assert server.carried == 4


@pytest.mark.parametrize("version", ["0.25.1", "0.31.0"])
async def test_a_server_with_room_for_too_little_gets_pictures_with_each_request(
    server: TokenServer, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.version, server.room = version, 0
    images, asked = ImageStore(), policy(server)
    turn = shown(images, 32, 64)

    async def four() -> set[str]:
        return {each.text for each in await asyncio.gather(*(ask(asked, turn, images=images) for _ in range(4)))}

    assert await four() == {"hello"}  # each waits for the others' pictures, which are gone before it asks
    assert caplog.text.count("--mm-processor-cache-gb") == 1
    server.requests.clear()
    server.sent.clear()
    assert await four() == {"hello"}
    assert (len(server.requests), server.carried) == (4, 8)  # nobody relies on the others any more
    assert caplog.text.count("--mm-processor-cache-gb") == 1


async def test_a_server_that_has_room_again_gets_pictures_once(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_tokens, "_APART", 2)
    images, asked = ImageStore(), policy(server)
    server.room = 0
    await asyncio.gather(*(ask(asked, shown(images, 32), images=images) for _ in range(4)))
    server.room = 1000
    for _ in range(4):
        await ask(asked, shown(images, 32), images=images)
    server.sent.clear()
    for _ in range(4):
        await ask(asked, shown(images, 32), images=images)
    assert server.carried == 0


async def test_a_server_that_keeps_no_picture_is_told_of(server: TokenServer) -> None:
    images = ImageStore()
    server.says = [tokens([], finish="error")]
    text = await failure(policy(server), shown(images, 32), images=images)
    assert "broke the request off" in text
    assert (server.renders, server.carried) == ([1], 3)


async def test_a_picture_that_cannot_be_sent_fails_all_who_show_it(server: TokenServer) -> None:
    images = ImageStore()
    asked = policy(server, retries=0)
    server.render_answers = [*[error(400, "at most 1 image")] * 3, send({"features": None})]
    told = await asyncio.gather(*(failure(asked, shown(images, 32), images=images) for _ in range(3)))
    assert all("at most 1 image" in text for text in told)
    assert "rendered no pictures" in await failure(asked, shown(images, 32), images=images)
    assert (await ask(asked, shown(images, 32), images=images)).text == "hello"


async def test_other_image_tokens_than_ours_are_refused(server: TokenServer) -> None:
    images = ImageStore()
    server.extra_tokens = 1
    text = await failure(policy(server), shown(images, 32), images=images)
    assert "[3] tokens" in text
    assert "checkpoint" in text


async def test_a_picture_of_another_size_than_shown_is_refused(server: TokenServer) -> None:
    images = ImageStore()
    wrong = ImageRef(images.put(np.zeros((64, 32, 3), np.uint8)), 32, 32)
    assert "shown as 32x32" in await failure(policy(server), Turn("user", (wrong,)), images=images)
    assert server.renders == []


async def test_whoever_waits_takes_over_from_an_episode_that_is_stopped() -> None:
    held = Holdings()
    first = await held.claim(["a", "b"])
    second, third = (asyncio.create_task(held.claim(["b", "c"])) for _ in range(2))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.sleep(0)
    assert first.wanted
    first.settle(False)
    assert (await second).carry == ["c", "b"]
    last = asyncio.create_task(held.claim(["a", "b"]))
    await asyncio.sleep(0)
    (await second).settle(True)
    assert (await last).carry == ["a"]


async def test_all_who_waited_for_a_carrier_that_failed_carry_at_once() -> None:
    held = Holdings()
    first = await held.claim(["a"])
    waiting = [asyncio.create_task(held.claim(["a"])) for _ in range(3)]
    await asyncio.sleep(0)
    first.settle(False)
    claims = await asyncio.gather(*waiting)
    assert [claim.carry for claim in claims] == [["a"]] * 3
    late = asyncio.create_task(held.claim(["a"]))
    for claim in claims:
        claim.settle(True)
    assert (await late).carry == []


async def test_who_carries_everything_himself_leaves_the_others_alone() -> None:
    held = Holdings()
    first = await held.claim(["a"])
    apart = held.claim_apart(["a", "b", "a"])
    assert (apart.carry, apart.wanted) == (["a", "b"], False)
    apart.settle(False)
    first.settle(True)
    assert (await held.claim(["a", "b"])).carry == ["b"]


async def test_pictures_used_last_are_remembered() -> None:
    held, sent = Holdings(keep=2), []
    for name in "abacab":
        claim = await held.claim([name])
        claim.settle(True)
        sent += claim.carry
    assert sent == ["a", "b", "c", "b"]


# A group's turns.

HELLO = Turn("user", (Text("hi"),))
Asked = tuple[Turn, ImageStore, Sampling]


async def sample(policy: VLLMTokenPolicy, *asks: Asked, max_tokens: int = 50) -> list[Completion]:
    """Ask for all at once."""
    return await asyncio.gather(
        *(
            policy.complete((turn,), images, max_tokens=max_tokens, stop=STOP, sampling=sampling)
            for turn, images, sampling in asks
        )
    )


def drawn(*seeds: int, turn: Turn = HELLO, images: ImageStore | None = None, temperature: float = 1.0) -> list[Asked]:
    return [(turn, images or ImageStore(), Sampling(temperature=temperature, seed=seed)) for seed in seeds]


def wanted(server: TokenServer) -> list[tuple[int, int]]:
    """First seed and samples of each request for more than one token."""
    return sorted((each["sampling_params"]["seed"], each["sampling_params"]["n"]) for each in server.requests)


async def test_a_group_asks_once_and_each_gets_the_sample_of_his_seed(server: TokenServer) -> None:
    server.says = ["number {seed}"]
    images = ImageStore()
    seeds = (7, 4, 5, 6, 2**31 + 9, -1)
    completions = await sample(policy(server, coalesce=True), *drawn(*seeds, turn=shown(images, 32, 64), images=images))
    assert [completion.text for completion in completions] == [f"number {seed % 2**31}" for seed in seeds]
    assert all(completion.logprobs == tuple(scores(completion.completion_tokens)) for completion in completions)
    assert wanted(server) == [(4, 4), (9, 1), (2**31 - 1, 1)]
    # For one token: vLLM would hand pictures to its engine once for each sample.
    assert {request["sampling_params"]["max_tokens"] for request in server.sent} == {1}
    assert server.carried == 2


async def test_a_group_asks_each_for_himself_unless_it_is_told_to_ask_together(server: TokenServer) -> None:
    await sample(policy(server), *drawn(4, 5))
    assert wanted(server) == [(4, 1), (5, 1)]


async def test_who_asks_for_something_else_asks_alone(server: TokenServer) -> None:
    images = ImageStore()
    one, other = (
        Turn("user", (ImageRef(images.put(np.full((32, 32, 3), grey, np.uint8)), 32, 32),)) for grey in (1, 2)
    )
    asked = policy(server, coalesce=True)
    await sample(asked, *drawn(4, turn=one, images=images), *drawn(5, turn=other, images=images))
    await sample(asked, *drawn(6), *drawn(7, temperature=0.5))
    await asyncio.gather(sample(asked, *drawn(8)), sample(asked, *drawn(9), max_tokens=20))
    assert wanted(server) == [(seed, 1) for seed in (4, 5, 6, 7, 8, 9)]


async def test_what_a_server_does_not_draw_at_once_is_asked_for_one_by_one(server: TokenServer) -> None:
    server.most, server.says = 2, ["number {seed}"]
    completions = await sample(policy(server, coalesce=True), *drawn(4, 5, 6))
    assert [completion.text for completion in completions] == ["number 4", "number 5", "number 6"]
    assert wanted(server) == [(4, 1), (5, 1), (6, 1)]
    assert len(server.refused) == 1


@pytest.mark.parametrize("answer", [send({"choices": []}), tokens([5]), tokens([5], [], [7])])
async def test_other_than_the_samples_that_were_wanted_is_not_taken(server: TokenServer, answer: Answer) -> None:
    server.says = [answer, "number {seed}"]
    completions = await sample(policy(server, coalesce=True, retries=0), *drawn(4, 5, 6))
    assert [completion.text for completion in completions] == ["number 4", "number 5", "number 6"]


@pytest.mark.parametrize("version", ["0.25.1", "0.31.0"])
async def test_a_server_that_loses_pictures_at_once_gets_them_with_the_samples(
    server: TokenServer, version: str
) -> None:
    server.version, server.room = version, 1
    images = ImageStore()
    turn = shown(images, 32, 64)
    completions = await sample(policy(server, coalesce=True), *drawn(4, 5, 6, 7, turn=turn, images=images))
    assert {completion.text for completion in completions} == {"hello"}
    assert server.carried == 4


async def test_greedy_turns_are_asked_for_one_by_one(server: TokenServer) -> None:
    await sample(policy(server, coalesce=True), *drawn(4, 5, temperature=0.0))
    assert wanted(server) == [(4, 1), (5, 1)]
    assert server.refused == []


async def test_a_group_of_episodes_asks_once_a_turn_as_long_as_it_agrees(server: TokenServer) -> None:
    server.says = [keyframe_turn("closer", 1), answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3))]
    asked = policy(server)
    asked._coalescer = Coalescer(pause=1.0)
    each = [replace(context(asked), sampling=Sampling(temperature=1.0, seed=seed)) for seed in range(4)]
    results = await asyncio.gather(*(run_episode(Task("the emblem", clip()), one) for one in each))
    assert [(result.ending, result.usage.turns) for result in results] == [(Ending.FOUND, 2)] * 4
    assert [request["sampling_params"]["n"] for request in server.requests] == [4, 4]


# Groups that branch.


def certain(ids: list[int]) -> list[dict[int, float]]:
    return [{token: 0.0} for token in ids]


async def test_a_group_that_is_sure_is_decoded_once(server: TokenServer) -> None:
    ids = encode("<answer> none </answer>")
    server.says = [tokens(ids, named=certain(ids))]
    images = ImageStore()
    asked = policy(server, branch=True)
    completions = await sample(asked, *drawn(4, 5, 9, turn=shown(images, 32), images=images))
    assert {completion.token_ids for completion in completions} == {tuple(ids)}
    assert {completion.logprobs for completion in completions} == {tuple(scores(len(ids)))}
    (request,) = server.requests
    params = request["sampling_params"]
    assert (params["temperature"], params["logprobs"], params["n"]) == (0.0, 8, 1)
    asked.forget()
    await sample(asked, *drawn(4, turn=shown(images, 32), images=images))
    assert len(server.requests) == 2


@pytest.mark.parametrize("version", ["0.25.1", "0.31.0"])
async def test_who_draws_otherwise_is_gone_on_with_from_there(server: TokenServer, version: str) -> None:
    server.version = version
    trunk, rest = encode("<answer> none </answer>"), encode(" two </answer>")
    other = encode("one")[0]
    named = [{trunk[0]: 0.0}, {other: 0.0}, *certain(trunk[2:])]
    images = ImageStore()
    turn = shown(images, 32, 64)
    more: list[dict[str, object]] = [{}, {}]
    asked = policy(server, branch=True)
    if version == "0.31.0":
        ids = list(asked.chatml.encode((turn,)).ids)
        more = [{"prompt_token_ids": ids}, {"prompt_token_ids": [*ids, trunk[0], other]}]
    server.says = [tokens(trunk, named=named, **more[0]), tokens(rest, **more[1])]
    (completion,) = await sample(asked, *drawn(4, turn=turn, images=images), max_tokens=50)
    assert completion.token_ids == (trunk[0], other, *rest)
    assert completion.logprobs == (scores(1)[0], 0.0, *scores(len(rest)))
    assert completion.prompt_tokens == len(asked.chatml.encode((turn,)).ids)
    assert server.requests[1]["token_ids"] == [*server.requests[0]["token_ids"], trunk[0], other]
    named_again = [named for named, *_ in server._pictures(server.requests[1])]
    assert named_again == [part.sha256 for part in turn.parts if isinstance(part, ImageRef)]
    assert server.carried == 2
    params = server.requests[1]["sampling_params"]
    assert (params["temperature"], params["max_tokens"], params["seed"], params["n"]) == (1.0, 48, 4, 1)
    assert params["logprobs"] == 0


async def test_who_draws_an_end_has_ended(server: TokenServer) -> None:
    asked = policy(server, branch=True, logprobs=False)
    ids, end = encode("<answer> none </answer>"), asked.chatml.end_of_turn
    server.says = [tokens(ids, named=[{ids[0]: 0.0}, {end: 0.0}, *certain(ids[2:])])]
    (completion,) = await sample(asked, *drawn(4))
    assert (completion.token_ids, completion.finish_reason, completion.logprobs) == ((ids[0], end), "stop", None)
    (completion,) = await sample(asked, *drawn(4), max_tokens=2)
    assert len(server.requests) == 2
    server.says = [tokens(ids[:2], finish="length", named=[{ids[0]: 0.0}, {ids[2]: 0.0}])]
    asked.forget()
    (completion,) = await sample(asked, *drawn(4), max_tokens=2)
    assert (completion.token_ids, completion.finish_reason) == ((ids[0], ids[2]), "length")


async def test_a_turn_ends_where_the_server_ends_it_unasked(server: TokenServer, tmp_path: Path) -> None:
    """VLLM ends turns at every end that the checkpoint's generation_config names, whatever it is asked."""
    (ends,) = encode("<|endoftext|>")
    for file in EMBEDDED_FOLDER.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    asked = policy(server, branch=True, checkpoint=tmp_path)
    told = json.loads((tmp_path / "generation_config.json").read_text())
    assert ends not in asked._ends
    for eos in ([asked.chatml.end_of_turn, ends], ends):
        (tmp_path / "generation_config.json").write_text(json.dumps({**told, "eos_token_id": eos}))
        asked = policy(server, branch=True, checkpoint=tmp_path)
        ids = encode("<answer> none </answer>")
        server.says = [tokens(ids, named=[{ids[0]: 0.0}, {ends: 0.0}, *certain(ids[2:])])]
        (completion,) = await sample(asked, *drawn(4))
        assert (completion.token_ids, completion.finish_reason) == ((ids[0], ends), "stop")
        assert "endoftext" not in completion.text
        assert ends in server.requests[-1]["sampling_params"]["stop_token_ids"]
    (tmp_path / "generation_config.json").unlink()
    assert policy(server, checkpoint=tmp_path)._ends >= {asked.chatml.end_of_turn}


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.5), Sampling(temperature=1.0, top_p=0.9), Sampling()])
async def test_only_what_the_server_says_the_probabilities_of_is_drawn_here(
    server: TokenServer, sampling: Sampling
) -> None:
    await sample(policy(server, branch=True), (HELLO, ImageStore(), sampling))
    (request,) = server.requests
    assert (request["sampling_params"]["temperature"], request["sampling_params"]["logprobs"]) == (
        sampling.temperature,
        0,
    )


# vLLM from 0.30 on.


async def test_newer_servers_get_pictures_as_content_parts(server: TokenServer) -> None:
    server.version = "0.31.0"
    images = ImageStore()
    asked = policy(server)
    turn = shown(images, 32, 64)
    completion = await ask(asked, turn, images=images)
    assert completion.prompt_tokens == len(asked.chatml.encode((turn,)).ids)
    assert server.renders == []
    request = server.requests[0]
    assert request["token_ids"].count(asked.chatml.image_pad) == 2
    names = [part.sha256 for part in turn.parts if isinstance(part, ImageRef)]
    assert [part["uuid"] for part in request["content_parts"]] == names
    assert [part["url"][:22] for part in request["content_parts"]] == ["data:image/png;base64,"] * 2
    await ask(asked, turn, images=images)
    assert server.requests[1]["content_parts"] == [{"type": "image_url", "uuid": name} for name in names]
    server.says = [tokens(encode("hello"), prompt_token_ids=[1, 2, 3])]
    assert "another prompt" in await failure(asked, turn, images=images)


async def test_a_prompt_of_another_length_is_refused(server: TokenServer) -> None:
    server.says = [tokens(encode("hello"), prompt=7)]
    assert "another prompt" in await failure(policy(server))


# Every fault names the server and the remedy.


@pytest.mark.parametrize(
    "answer",
    [
        send(b"<html>proxy</html>", kind="text/html"),
        send({"choices": []}),
        send({"choices": [{"token_ids": [5], "finish_reason": "stop"}]}),
        send({"choices": [{"token_ids": [5], "logprobs": None, "finish_reason": "stop"}]}),
        send({"choices": [{"token_ids": [], "logprobs": {"content": []}, "finish_reason": "stop"}]}),
        send({"choices": "x" * 1000}, cut=200),
        error(500, "CUDA out of memory"),
        error(429, "slow down", Retry_After="0.02"),
        lambda handler: handler.wfile.write(b"garbage\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ],
)
async def test_faults_that_may_pass_are_tried_again(server: TokenServer, answer: Answer) -> None:
    asked = policy(server, retries=1, timeout=1.5)
    server.says = [answer]
    text = await failure(asked)
    assert server.url in text
    assert len(server.requests) == 2
    server.requests.clear()
    server.says.append("hello")
    assert (await ask(asked)).text == "hello"


async def test_faults_that_stay_are_told_at_once(server: TokenServer) -> None:
    server.says = [error(400, "maximum context length is 4096 tokens")]
    assert "maximum context length" in await failure(policy(server))
    assert len(server.requests) == 1
    server.says = [error(404, "Not Found")]
    assert "--enable-scale-out" in await failure(policy(server))
    server.says = [error(401, "bad key sk-secret")]
    assert "sk-secret" not in await failure(policy(server, api_key="sk-secret"))


async def test_a_hanging_server(server: TokenServer) -> None:
    server.says = [hang(2)]
    assert "no answer in time" in await failure(policy(server, timeout=0.1, retries=1))


def test_nobody_listens() -> None:
    with pytest.raises(PolicyError, match=r"cannot be reached.*vllm serve"):
        VLLMTokenPolicy("tokens+http://127.0.0.1:9")


def test_a_model_must_be_chosen(server: TokenServer) -> None:
    server.names = ["small", "large"]
    with pytest.raises(PolicyError, match="serves small, large"):
        policy(server)
    assert "large" in policy(server, model="large").name
    with pytest.raises(PolicyError, match="not 'huge'"):
        policy(server, model="huge")


def test_a_checkpoint_must_be_named_if_the_server_names_no_folder(server: TokenServer) -> None:
    server.root = "Qwen/Qwen3-VL-4B-Instruct"
    with pytest.raises(InputError, match="--checkpoint"):
        policy(server)
    assert policy(server, checkpoint=EMBEDDED_FOLDER).chatml.cell == 32


# Its use.


async def test_it_is_named_by_its_address(server: TokenServer) -> None:
    opened = await open_policy(f"tokens+{server.url}", None, "")
    assert isinstance(opened, VLLMTokenPolicy)
    assert opened.name == f"small at {server.url}"
    with pytest.raises(InputError, match="no token endpoint"):
        load_policy(f"{server.url}/v1", checkpoint="x")


async def test_an_episode_becomes_a_stream_to_train_on(server: TokenServer) -> None:
    asked = policy(server)
    server.says = [keyframe_turn("closer", 2), answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3))]
    result = await run_episode(Task("the emblem", clip()), context(asked))
    assert result.found
    stream = to_stream(asked.chatml, result.conversation)
    check_images(stream, asked.chatml)
    assert list(stream.ids[: stream.prompt]) == server.requests[0]["token_ids"]
    assert sum(stream.mask) == result.usage.completion_tokens
    assert stream.ids[: len(server.requests[1]["token_ids"])] == tuple(server.requests[1]["token_ids"])
    server.says = [error(400, "gone")]
    result = await run_episode(Task("the emblem", clip()), context(asked))
    assert server.url in result.failure["message"]  # type: ignore[index]


def test_an_episode_that_outgrows_the_server_is_scored_and_not_drawn_anew(server: TokenServer, caplog) -> None:
    refusal = "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
    server.says = [keyframe_turn("closer", 1), error(400, refusal)]
    asked, profile = policy(server), get_profile("embedded")
    rolling = Context(policy=asked, dialect=profile.make_dialect(), budget=profile.budget)
    runner = Runner(EmblemsSource("val", 3, 1), rolling, asked.chatml, Segscout())
    (rollout,) = runner.run([(0, 0)])
    assert rollout is not None
    assert rollout.result.ending is Ending.TOKENS_SPENT
    assert rollout.reward == pytest.approx(-0.1)
    assert sum(rollout.stream.mask) == rollout.result.usage.completion_tokens > 0
    check_record(to_record(rollout, Origin("small", "seg_research", Sampling())), rollout.image_pad)
    server.requests.clear()
    server.says = [error(400, refusal)]
    assert runner.run([(0, 0)]) == [None]
    assert "val-3-00000 broke" in caplog.text
    assert "--max-model-len" in caplog.text


def test_records_are_made_from_token_endpoints_only(server: TokenServer, tmp_path) -> None:
    server.says = [keyframe_turn("closer", 1), answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3))] * 4
    options = RecordOptions(policy=f"tokens+{server.url}", n=2, group=2, segmenter="grabcut")
    summary = record_episodes(options, tmp_path / "records")
    assert (summary["records"], summary["broken"]) == (4, 0)
    with pytest.raises(InputError, match="tokens\\+http"):
        record_episodes(replace(options, policy=f"{server.url}/v1"), tmp_path / "none")


async def test_pictures_are_processed_off_the_event_loop(server: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    loops: list[bool] = []

    def note(where: object, name: str) -> None:
        process = getattr(where, name)

        def noting(*given: object) -> object:
            try:
                loops.append(asyncio.get_running_loop().is_running())
            except RuntimeError:
                loops.append(False)
            return process(*given)

        monkeypatch.setattr(where, name, noting)

    note(vllm_renderer, "data_uri")
    note(vllm_renderer, "find_mold")
    note(vllm_molds, "cut_patches")
    images = ImageStore()
    await ask(policy(server), shown(images, 32), images=images)
    assert len(loops) >= 4
    assert not any(loops)
