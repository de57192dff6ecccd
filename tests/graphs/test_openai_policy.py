import asyncio
import base64
import gc
import io
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import PIL.Image
import pytest
from chat_server import ChatServer, chat_server, error, hang, models, said, send
from graph_stubs import clip, context

from graphs.conversation import ImageRef, Text, Turn
from graphs.dialects.seg_research import answer_turn, keyframe_turn
from graphs.endings import Ending
from graphs.episode import Task, run_episode
from graphs.policies import openai_messages
from graphs.policies.base import Completion, Sampling
from graphs.policies.openai import OpenAIPolicy
from graphs.policies.openai_messages import PictureCache
from graphs.policies.openai_replies import close_at_stop
from tools.errors import InputError, PolicyError
from tools.image_store import Image, ImageStore

STOP = ("</search>", "</keyframe>", "</answer>")


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def policy(server: ChatServer, **settings: object) -> OpenAIPolicy:
    return OpenAIPolicy(server.url, **({"retries": 2, "pause": 0.01, "timeout": 5.0} | settings))  # type: ignore[arg-type]


async def ask(policy: OpenAIPolicy, *turns: Turn, images: ImageStore | None = None) -> Completion:
    conversation = turns or (Turn("user", (Text("hi"),)),)
    return await policy.complete(
        conversation, images or ImageStore(), max_tokens=50, stop=STOP, sampling=Sampling(temperature=0.5, seed=3)
    )


async def failure(policy: OpenAIPolicy) -> str:
    with pytest.raises(PolicyError) as caught:
        await ask(policy)
    return str(caught.value)


def test_the_picture_cache_is_safe_across_threads() -> None:
    together = threading.Barrier(2, timeout=30)

    class Meeting(ImageStore):
        def get(self, ref: str) -> Image:
            together.wait()  # both threads have found that the picture is not there yet
            return super().get(ref)

    images = Meeting()
    ref = ImageRef(images.put(np.zeros((8, 6, 3), np.uint8)), 6, 8)
    cache = PictureCache()
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: cache.get(ref, images), range(2))
    assert one is other is cache.get(ref, images)


def test_encoded_pictures_go_with_the_episode_that_showed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoded(str):
        __slots__ = ("__weakref__",)

    monkeypatch.setattr(openai_messages, "data_uri", lambda *_: Encoded("data:,"))
    cache, images = PictureCache(), ImageStore()
    ref = ImageRef(images.put(np.zeros((8, 6, 3), np.uint8)), 6, 8)
    kept = weakref.ref(cache.get(ref, images))
    assert cache.holds(ref, images)
    assert kept() is not None
    del images
    gc.collect()
    assert kept() is None


async def test_pictures_are_encoded_off_the_event_loop(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoding, go = threading.Event(), threading.Event()

    def slow(image: Image, image_format: str) -> str:
        encoding.set()
        assert go.wait(10), "the loop stood still while this ran"
        return "data:,"

    monkeypatch.setattr(openai_messages, "data_uri", slow)
    images = ImageStore()
    ref = ImageRef(images.put(np.zeros((8, 6, 3), np.uint8)), 6, 8)
    asked = policy(server)
    await ask(asked)
    asking = asyncio.create_task(ask(asked, Turn("user", (ref,)), images=images))
    while not (encoding.is_set() or asking.done()):
        await asyncio.sleep(0.01)
    assert encoding.is_set()
    go.set()
    assert (await asking).text


async def test_a_completion_with_usage(server: ChatServer) -> None:
    asked = policy(server)
    completion = await ask(asked)
    assert completion == Completion("hello", "stop", 11, 7)
    request = server.requests[0]
    assert request["model"] == "small"
    assert (request["max_tokens"], request["temperature"], request["seed"]) == (50, 0.5, 3)
    assert request["stop"] == list(STOP)
    assert request["include_stop_str_in_output"] is True
    assert "small" in asked.name
    await ask(asked)
    assert server.listed == 1


async def test_plain_openai_servers_get_no_extensions(server: ChatServer) -> None:
    server.models = models("gpt", owner="openai")
    server.answers = [said("<thinking> a </thinking>\n<keyframe> 8 ")]
    completion = await ask(policy(server))
    assert completion.text == "<thinking> a </thinking>\n<keyframe> 8 </keyframe>"
    assert "include_stop_str_in_output" not in server.requests[0]


async def test_pictures_travel_exactly_and_are_encoded_once(server: ChatServer) -> None:
    images = ImageStore()
    picture = np.random.default_rng(0).integers(0, 255, (8, 6, 3), np.uint8)
    ref = ImageRef(images.put(picture), 6, 8)
    turns = (
        Turn("system", (Text("s"),)),
        Turn("user", (Text("a "), Text("b "), ref, Text("c"))),
        Turn("assistant", (Text("d <|image_pad|> <answer>"),)),
        Turn("user", (ref,)),
    )
    await ask(policy(server), *turns, images=images)
    system, first, reply, second = server.requests[0]["messages"]
    assert system == {"role": "system", "content": "s"}
    assert [part["type"] for part in first["content"]] == ["text", "image_url", "text"]
    assert first["content"][0]["text"] == "a b "
    uri = first["content"][1]["image_url"]["url"]
    assert uri == second["content"][0]["image_url"]["url"]
    decoded = PIL.Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))
    assert np.array_equal(np.asarray(decoded), picture)
    assert "<|" not in reply["content"]
    assert "<answer>" in reply["content"]
    cache = PictureCache("jpeg")
    assert cache.get(ref, images) is cache.get(ref, images)
    assert cache.get(ref, images).startswith("data:image/jpeg;")


# Every fault names the endpoint and the remedy.


async def test_nobody_listens() -> None:
    for model in (None, "small"):
        text = await failure(OpenAIPolicy("http://127.0.0.1:9/v1", model=model, retries=1, pause=0.01))
        assert "http://127.0.0.1:9/v1 cannot be reached" in text
        assert "vllm serve" in text


async def test_an_unknown_model_lists_the_served_ones(server: ChatServer) -> None:
    server.answers = [error(404, "The model `big` does not exist.")]
    text = await failure(policy(server, model="big"))
    assert "no model 'big'" in text
    assert "--model small" in text
    assert len(server.requests) == 1


async def test_a_wrong_path_says_so(server: ChatServer) -> None:
    server.models = server.answers[0] = send(b"not found", status=404, kind="text/plain")
    assert "/v1" in await failure(policy(server, model="big"))
    assert "/v1" in await failure(policy(server))


async def test_several_models_must_be_chosen_from(server: ChatServer) -> None:
    server.models = models("a", "b")
    assert "serves a, b" in await failure(policy(server))
    server.models = models()
    assert "serves no model" in await failure(policy(server))


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key(server: ChatServer, status: int) -> None:
    server.answers = [error(status, "bad key sk-secret")]
    text = await failure(policy(server, api_key="sk-secret"))
    assert "API key" in text
    assert "sk-secret" not in text
    assert server.keys == ["Bearer sk-secret"]


async def test_too_many_requests_are_waited_for(server: ChatServer) -> None:
    server.answers = [error(429, "slow down", Retry_After="0.02"), said("hello")]
    assert (await ask(policy(server))).text == "hello"
    server.requests.clear()
    server.answers = [error(429, "slow down")]
    assert "HTTP 429" in await failure(policy(server))
    assert len(server.requests) == 3
    server.requests.clear()
    server.answers = [error(429, "no money", code="insufficient_quota")]
    assert "quota" in await failure(policy(server))
    assert len(server.requests) == 1


async def test_a_failing_server_is_tried_again(server: ChatServer) -> None:
    server.answers = [error(500, "oops"), error(503, "oops"), said("hello")]
    assert (await ask(policy(server))).text == "hello"
    server.requests.clear()
    server.answers = [error(500, "CUDA out of memory")]
    assert "CUDA out of memory" in await failure(policy(server))


def names(request: dict[str, Any]) -> list[str]:
    """What each picture of the first message is called."""
    return [part.get("uuid", "") for part in request["messages"][0]["content"] if part["type"] == "image_url"]


def pictures(images: ImageStore, *values: int) -> Turn:
    refs = [ImageRef(images.put(np.full((32, 64, 3), value, np.uint8)), 64, 32) for value in values]
    return Turn("user", (Text("see"), *refs))


async def test_vllm_gets_pictures_that_it_may_have_lost_under_other_names(server: ChatServer) -> None:
    """Its HTTP process may believe for ever that its engine holds one, and send it none under that name."""
    images, asked = ImageStore(), policy(server)
    server.answers = [error(500, "internal error"), error(500, "internal error"), said("hello")]
    for shown in ((1, 2, 1), (1, 2, 1, 3)):  # what was lost once is not asked for again at the next turn
        assert (await ask(asked, pictures(images, *shown), images=images)).text == "hello"
    first, again, third, later = map(names, server.requests)
    assert first == [""] * 3
    assert later[:3] == third
    for each in (again, third, later):
        assert each[0] == each[2] != each[1]
        assert all(each)
    assert set(again).isdisjoint(third)


async def test_episodes_that_lose_the_same_picture_rename_it_once(server: ChatServer) -> None:
    images, asked = ImageStore(), policy(server)
    server.answers = [*[error(500, "internal error")] * 4, said("hello")]
    turn = pictures(images, 1)
    await asyncio.gather(*(ask(asked, turn, images=images) for _ in range(4)))
    assert len({name for request in server.requests for name in names(request)} - {""}) <= 2


@pytest.mark.parametrize(("owner", "status"), [("openai", 500), ("vllm", 503), ("vllm", 429)])
async def test_other_faults_rename_nothing(server: ChatServer, owner: str, status: int) -> None:
    server.models = models("small", owner=owner)
    server.answers = [error(status, "not now"), said("hello")]
    images = ImageStore()
    await ask(policy(server), pictures(images, 1), images=images)
    assert list(map(names, server.requests)) == [[""], [""]]


async def test_a_fault_without_pictures_renames_nothing(server: ChatServer) -> None:
    server.answers = [error(500, "internal error"), said("hello")]
    images, asked = ImageStore(), policy(server)
    await ask(asked)
    await ask(asked, pictures(images, 1), images=images)
    assert names(server.requests[-1]) == [""]


async def test_a_bad_request_is_quoted_and_not_repeated(server: ChatServer) -> None:
    server.answers = [error(400, "maximum context length is 4096 tokens")]
    assert "maximum context length" in await failure(policy(server))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        said(""),
        said(None),
        said("  \n"),
        said("", finish="length"),
        send(b"<html>proxy</html>", kind="text/html"),
        send(b"{", kind="application/json"),
        send({"ok": True}),
        send({"choices": []}),
        send({"choices": [{"message": None}]}),
        send([1, 2]),
        send(b"\xff\xfe\x00"),
        send({"choices": "x" * 1000}, cut=200),
        lambda handler: handler.wfile.write(b"garbage\r\n\r\n"),
        lambda handler: handler.connection.close(),
    ],
)
async def test_unusable_replies(server: ChatServer, answer: object) -> None:
    server.answers = [answer]  # type: ignore[list-item]
    text = await failure(policy(server, retries=1))
    assert server.url in text
    assert len(server.requests) == 2
    server.requests.clear()
    server.answers.append(said("hello"))
    assert (await ask(policy(server, retries=1))).text == "hello"


async def test_a_hanging_server(server: ChatServer) -> None:
    server.answers = [hang(2)]
    assert "no answer in time" in await failure(policy(server, timeout=0.1, retries=1))


async def test_a_cut_completion_is_reported_as_such(server: ChatServer) -> None:
    server.answers = [said("<thinking> long", finish="length")]
    completion = await ask(policy(server))
    assert completion == Completion("<thinking> long", "length", 11, 7)


async def test_split_off_reasoning_is_put_back(server: ChatServer) -> None:
    server.answers = [said("<keyframe> 8 ", reasoning_content="hm\n")]
    assert (await ask(policy(server))).text == "<thinking> hm </thinking>\n<keyframe> 8 </keyframe>"


async def test_a_reply_without_usage(server: ChatServer) -> None:
    server.answers = [send({"choices": [{"message": {"content": "x"}}]})]
    assert await ask(policy(server)) == Completion("x", "stop", 0, 0)


@pytest.mark.parametrize(
    ("sampled", "closed"),
    [
        ("<keyframe> 8 </keyframe>", "<keyframe> 8 </keyframe>"),
        ("<keyframe> 8 ", "<keyframe> 8 </keyframe>"),
        ("<search> a </search> and a dreamt result <answer> b", "<search> a </search>"),
        ("<thinking> <search> it? </thinking> no", "<thinking> <search> it? </thinking> no"),
        ("<thinking> plan </thinking>", "<thinking> plan </thinking>"),
    ],
)
def test_text_ends_at_the_first_stop_string(sampled: str, closed: str) -> None:
    assert close_at_stop(sampled, STOP, stopped=True) == closed


def test_a_cut_tag_is_not_closed() -> None:
    assert close_at_stop("<keyframe> 1", STOP, stopped=False) == "<keyframe> 1"


@pytest.mark.parametrize("url", ["", "localhost:8000", "file:///etc/passwd", "http://"])
def test_no_address(url: str) -> None:
    with pytest.raises(InputError):
        OpenAIPolicy(url)


def test_addresses_are_completed_and_credentials_stay_out_of_names() -> None:
    assert OpenAIPolicy("http://host:8000").name == "policy at http://host:8000/v1"
    assert OpenAIPolicy("https://u:secret@host/v1/chat/completions", model="m").name == "m at https://host/v1"


def test_one_policy_serves_several_event_loops(server: ChatServer) -> None:
    shared = policy(server)
    for _ in range(2):
        assert asyncio.run(ask(shared)).text == "hello"


async def test_a_whole_episode_over_http(server: ChatServer) -> None:
    server.answers = [
        said(keyframe_turn("closer", 2).removesuffix("</keyframe>")),
        said(answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3))),
    ]
    result = await run_episode(Task("the emblem", clip()), context(policy(server)))
    assert result.found
    assert result.keyframe == 2
    assert result.usage.completion_tokens == 14
    server.answers = [error(500, "gone")]
    result = await run_episode(Task("the emblem", clip()), context(policy(server)))
    assert result.ending is Ending.POLICY_BROKEN
    assert server.url in result.failure["message"]  # type: ignore[index]


NO_ROOM = [
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
    "Input length (5000) exceeds model's maximum context length (4096).",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "At most 16 image(s) may be provided in one prompt.",
    "prompt is too long: 215000 tokens > 200000 maximum",
]


@pytest.mark.parametrize("message", NO_ROOM)
async def test_a_conversation_that_outgrows_the_server_spent_its_tokens(server: ChatServer, message: str) -> None:
    server.answers = [said(keyframe_turn("closer", 2)), error(400, message)]
    result = await run_episode(Task("the emblem", clip()), context(policy(server)))
    assert result.ending is Ending.TOKENS_SPENT
    assert message in result.failure["message"]  # type: ignore[index]
    assert "--max-model-len" in result.failure["remedy"]  # type: ignore[index]
    assert len(server.requests) == 2


async def test_a_task_that_does_not_fit_and_other_refusals_are_no_doing_of_the_policy(server: ChatServer) -> None:
    server.answers = [error(400, NO_ROOM[3])]
    result = await run_episode(Task("the emblem", clip()), context(policy(server)))
    assert result.ending is Ending.POLICY_BROKEN
    assert "--limit-mm-per-prompt" in result.failure["remedy"]  # type: ignore[index]
    for later in (error(400, "the image cannot be decoded"), error(500, NO_ROOM[0])):
        server.requests.clear()
        server.answers = [said(keyframe_turn("closer", 2)), later]
        result = await run_episode(Task("the emblem", clip()), context(policy(server)))
        assert result.ending is Ending.POLICY_BROKEN
