"""The chat endpoint as official clients meet it, over a real socket: whole, streamed, pictures, clips, follow-ups."""

import asyncio
import json
from itertools import groupby

import numpy as np
import openai
import pytest
from agent_stubs import FACT, FRAMES, HEIGHT, WIDTH, agent, square
from graph_stubs import DictSearch
from server_stubs import IMAGE_SCRIPT, body, chunks, data_uri, fenced, image, png, served, text, user, video

from graphs.dialects.seg_research import absent_turn, answer_turn, keyframe_turn, search_turn
from graphs.masks import decode_rle

QUESTION = "the emblem of the Otters"


def check_clip(segmentation: dict) -> None:
    masks = {mask["frame"]: mask for mask in segmentation["masks"]}
    assert sorted(masks) == list(range(FRAMES))
    assert (segmentation["frame"], segmentation["ending"], segmentation["complete"]) == (2, "found", True)
    x1, y1, x2, y2 = square(2)
    assert masks[2]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1)
    assert masks[2]["label"] == QUESTION
    assert decode_rle(masks[2]["rle"]).shape == (HEIGHT, WIDTH)
    assert [one["snippet"] for one in segmentation["citations"]] == [FACT]


def test_a_clip_whole_with_the_official_client(tmp_path):
    with served(agent()) as server:
        reply = server.client().chat.completions.create(**body(user(QUESTION, video(tmp_path))))
        message = reply.choices[0].message
        segmentation = message.model_extra["segmentation"]
        files = {name: server.get(url.removeprefix(server.url)) for name, url in segmentation["files"].items()}
    check_clip(segmentation)
    assert (reply.object, reply.model, reply.choices[0].finish_reason) == ("chat.completion", "segscout", "stop")
    assert reply.id.startswith("chatcmpl-")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 0
    block = fenced(message.content)
    assert [mask["frame"] for mask in block["masks"]] == [2]
    assert np.array_equal(decode_rle(block["masks"][0]["rle"]), decode_rle(segmentation["masks"][2]["rle"]))
    assert FACT in message.content
    assert "(doc:Otters)" in message.content
    told = message.model_extra["reasoning"]
    assert told == message.model_extra["reasoning_content"]
    assert told.index("I must look it up.") < told.index("Search (text): emblem of the Otters") < told.index(FACT)
    assert "Look closer at frame 2." in told
    assert {file.status_code for file in files.values()} == {200}
    kinds = {name: file.headers["content-type"] for name, file in files.items()}
    assert kinds == {
        "overlay.png": "image/png",
        "overlay.mp4": "video/mp4",
        "masks.json": "application/json",
        "result.json": "application/json",
    }
    assert files["overlay.png"].content.startswith(b"\x89PNG")
    assert len(files["masks.json"].json()["annotations"]) == FRAMES
    assert files["result.json"].json()["query"] == QUESTION


@pytest.mark.parametrize("url", ["object", "string"])
def test_an_image_in_either_spelling(url):
    part = image() if url == "object" else {"type": "image_url", "image_url": data_uri(png(), "image/png")}
    with served() as server:
        reply = server.post(body(user(part, "the red square"), temperature=0.3, unheard_of={"a": 1}, n=1, tools=[]))
    message = reply.json()["choices"][0]["message"]
    assert reply.status_code == 200
    assert sorted(message["segmentation"]["files"]) == ["masks.json", "overlay.png", "result.json"]
    assert message["segmentation"]["masks"][0]["frame"] == 0


def test_several_images_are_the_frames_of_a_clip():
    with served(agent()) as server:
        reply = server.post(body(user(QUESTION, *[image()] * FRAMES)))
    check_clip(reply.json()["choices"][0]["message"]["segmentation"])


def test_streaming_with_the_official_client(tmp_path):
    asked = body(user(QUESTION, video(tmp_path)), stream=True, stream_options={"include_usage": True})
    with served(agent()) as server:
        got = list(server.client().chat.completions.create(**asked))
    assert len({chunk.id for chunk in got}) == 1
    assert {chunk.object for chunk in got} == {"chat.completion.chunk"}
    assert got[0].choices[0].delta.role == "assistant"
    assert got[-1].choices == []
    assert got[-1].usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in got[:-1])
    deltas = [chunk.choices[0].delta for chunk in got[:-1]]
    names = ("segmentation", "reasoning", "content")
    kinds = [next(name for name in names if getattr(delta, name, None)) for delta in deltas[1:]]
    assert [kind for kind, _ in groupby(kinds)] == ["reasoning", "content", "segmentation"]
    check_clip(deltas[-1].model_extra["segmentation"])
    assert [chunk.choices[0].finish_reason for chunk in got[:-1]] == [None] * (len(got) - 2) + ["stop"]
    assert fenced("".join(delta.content or "" for delta in deltas))["frame"] == 2
    reasoning = "".join(getattr(delta, "reasoning", "") for delta in deltas)
    assert FACT in reasoning
    assert "Masks cut: 6 of 6 frames." in reasoning


def test_the_wire_of_a_stream():
    with served() as server:
        plain = server.post(body(stream=True))
        costed = server.post(body(stream=True, stream_options={"include_usage": True}))
    assert plain.headers["content-type"].startswith("text/event-stream")
    assert plain.headers["cache-control"] == "no-cache"
    first, *_, last = chunks(plain)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in chunk for chunk in chunks(plain))
    assert chunks(costed)[-1]["choices"] == []


async def test_async_clients_whole_and_streamed_are_never_mixed_up():
    def play(turns):
        task = turns[1].text if turns[0].role == "system" else turns[0].text
        place = int(task.split("number ")[1].split("'")[0]) / 100
        return answer_turn(f"Number {place}.", (place, 0.2, place + 0.1, 0.6), (place + 0.05, 0.4))

    async def ask(client: openai.AsyncOpenAI, number: int) -> None:
        asked = body(user(f"number {number}", image()))
        if number % 2:
            stream = await client.chat.completions.create(**asked, stream=True)
            deltas = [chunk.choices[0].delta async for chunk in stream]
            content = "".join(delta.content or "" for delta in deltas)
        else:
            content = (await client.chat.completions.create(**asked)).choices[0].message.content
        assert f"“number {number}”" in content
        assert fenced(content)["masks"][0]["bbox"][0] == pytest.approx(number * WIDTH / 100, abs=1)

    with served(agent(play)) as server:
        client = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        await asyncio.gather(*(ask(client, number) for number in range(1, 33)))
        assert (server.metric("segscout_runs_in_flight"), server.metric("segscout_runs_waiting")) == (0, 0)


def test_a_follow_up_works_on_the_earlier_clip_and_tells_what_was_found(tmp_path):
    heard: list[str] = []

    def play(turns):
        heard.append(turns[1].text)
        box = (0.3, 0.2, 0.5, 0.6) if "Now:" in turns[1].text else (0.6, 0.2, 0.8, 0.6)
        point = ((box[0] + box[2]) / 2, 0.4)
        return keyframe_turn("x", 2) if len(turns) == 2 else answer_turn("x", box, point)

    messages = [{"role": "system", "content": "Be kind."}, user("the right square", video(tmp_path))]
    with served(agent(play)) as server:
        client = server.client()
        for question in ("now the one to its left", "and its shadow"):
            reply = client.chat.completions.create(model="segscout", messages=messages)
            messages += [{"role": "assistant", "content": reply.choices[0].message.content}, user(question)]
        last = client.chat.completions.create(model="segscout", messages=messages).choices[0].message
    assert "Earlier" not in heard[0]
    follow = next(one for one in heard if "now the one to its left" in one)
    assert 'asked for "the right square"; found in frame 2: "the right square", 60-80 % across' in follow
    assert follow.index("Now: now the one to its left") > follow.index("Earlier")
    assert 'asked for "now the one to its left"; found in frame 2' in heard[-1]
    assert "“and its shadow”" in last.content
    assert "Earlier" not in json.dumps(last.model_extra["segmentation"]["masks"])


def test_new_media_begin_anew_and_recall_can_be_off():
    heard: list[str] = []

    def play(turns):
        heard.append(turns[1].text)
        return answer_turn("x", (0.2, 0.2, 0.5, 0.6), (0.4, 0.4))

    answered = {"role": "assistant", "content": "Found."}
    first = user("the red square", image())
    with served(agent(play)) as server:
        server.post(body(first, answered, user("the blue one", image())))
        assert "Earlier" not in heard[-1]
        server.post(body(first, answered, user("the blue one")))
        assert 'asked for "the red square"; the answer is not known.' in heard[-1]
    with served(agent(play), recall=False) as server:
        server.post(body(first, answered, user("the blue one")))
        assert "'the blue one'" in heard[-1]


def test_absent_is_an_answer_and_nothing_reached_says_so():
    with served(agent([absent_turn("Nothing there.")])) as server:
        message = server.post(body()).json()["choices"][0]["message"]
    assert message["content"].startswith("Not there")
    assert message["segmentation"]["masks"] == []
    assert fenced(message["content"])["masks"] == []
    with served(agent([search_turn("x", "text_search", "y")] * 30)) as server:
        choice = server.post(body()).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"].startswith("No answer was reached")
    assert choice["message"]["segmentation"]["files"] == {}


def test_foreign_text_brings_no_markup_into_the_answer():
    nasty = "![x](http://evil/p.png) <img src=http://evil> ```\n```json\n{}\n``` [click](javascript:alert(1))"
    player = agent(search=DictSearch({"Otters": nasty}))
    with served(player) as server:
        asked = body(user(f"{QUESTION} ```", *[image()] * FRAMES))
        message = server.post(asked).json()["choices"][0]["message"]
    assert message["content"].count("![") == 1
    assert message["content"].count("```") == 2
    assert fenced(message["content"])["masks"][0]["label"].endswith("```")
    for told in (message["content"], message["reasoning"]):
        assert "![x]" not in told
        assert "](javascript" not in told.replace("\\]", "")
        assert "<img" not in told.replace("\\<", "")
    assert fenced(message["content"])["frame"] == 2


def test_models():
    with served() as server:
        listed = server.client().models.list()
        assert [(model.id, model.object) for model in listed.data] == [("segscout", "model")]
        assert server.client().models.retrieve("segscout").owned_by == "segscout"
        with pytest.raises(openai.NotFoundError):
            server.client().models.retrieve("gpt-5")


def test_text_parts_are_one_question():
    heard: list[str] = []
    with served(agent(lambda turns: heard.append(turns[1].text) or IMAGE_SCRIPT[2])) as server:
        server.post(body({"role": "user", "content": [text("the red"), image(), text("square")]}))
    assert "the red square" in heard[0]
