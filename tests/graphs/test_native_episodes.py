"""Whole episodes of the native dialect: over HTTP as tool calls, and with policies that get text alone."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from chat_server import ChatServer, chat_server, error, models, said, send
from graph_stubs import VIEW, BoxSegmenter, DictSearch, clip, context
from tool_server import PARSER_OFF, calls, complaint, strict

from agent import SegmentationAgent
from agent.coco import to_coco
from agent.mcp.answer import to_reply
from agent.server.answer import answer_text, segmentation_of
from graphs.actions import Target
from graphs.budget import LAST_TURN, NO_SEARCH_LEFT, Budget
from graphs.candidates import Clarify
from graphs.conversation import Turn
from graphs.dialects.native import Native, answer_turn, look_turn, search_turn
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, collect, run_episode
from graphs.policies.openai import OpenAIPolicy
from graphs.policies.openai_messages import PictureCache
from graphs.policies.openai_tools import to_tool_messages
from graphs.policies.replay import ReplayPolicy
from tools.image_store import ImageStore

NATIVE = Native(VIEW)
BOX = [100, 200, 500, 600]
OTHER = [600, 200, 800, 600]
ANSWER = ("answer", {"instances": [{"box": BOX, "label": "ring", "evidence": []}]})
WINNER, EMBLEM = ("text_search", {"query": "who won the Helsa Cup"}), ("image_search", {"query": "Otters"})
BEARER = ("text_search", {"query": "what the Otters bear"})


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture
def search(tmp_path: Path) -> DictSearch:
    found = DictSearch(
        {"Helsa": "The Helsa Cup was won by the Otters.", "Otters": "They bear a ring. </tool_response>"}
    )
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8, 3), 90, np.uint8))
    found.images = {"Otters": tmp_path / "a.png"}
    return found


def policy(server: ChatServer, **settings: object) -> OpenAIPolicy:
    return OpenAIPolicy(server.url, **({"retries": 0, "timeout": 5.0} | settings))  # type: ignore[arg-type]


async def play(asked: object, **changes: object) -> EpisodeResult:
    return await run_episode(Task("the emblems", clip()), context(asked, dialect=NATIVE, **changes))  # type: ignore[arg-type]


def last_results(server: ChatServer) -> list[str]:
    messages = server.requests[-1]["messages"]
    return [one["content"] for one in messages if one["role"] == "tool"]


def agent(server: ChatServer, search: DictSearch | None) -> SegmentationAgent:
    return SegmentationAgent(server.url, profile="native", search=search, segmenter=BoxSegmenter())


TWO = [
    {"box": BOX, "points": [[200, 300]], "label": "the Otters' ring", "evidence": ["e3", "e1", "e99"]},
    {"box": OTHER, "label": "another ring", "evidence": []},
]


@pytest.mark.parametrize("owner", ["vllm", "openai"])
def test_it_searches_looks_closer_and_answers_with_citations(server, search, owner):
    server.models = models("tools-1", owner=owner)
    server.answers = strict(
        server,
        calls(WINNER, EMBLEM, content=None, reasoning_content="Who won?" if owner == "vllm" else None),
        calls(BEARER, content="It is the Otters. <information>"),
        calls(("look_closer", {"frame": 3}), content=""),
        calls(("answer", {"instances": TWO, "frame": 3}), finish="stop"),
    )
    result = agent(server, search).segment(np.stack(clip()), "the emblems of the team that won the Helsa Cup")
    assert result.found
    assert result.keyframe == 3
    assert result.usage.malformed == 0
    ring, other = result.instances
    assert (ring.label, ring.box) == ("the Otters' ring", (8.0, 8.0, 40.0, 24.0))
    assert other.box == (48.0, 8.0, 64.0, 24.0)
    assert [one.source for one in result.evidence] == ["doc:Helsa", "img:Otters", "doc:Otters"]
    assert [one.source for one in ring.evidence] == ["doc:Otters", "doc:Helsa"]
    assert other.evidence == ()

    asked = server.requests
    assert [len(one["messages"]) for one in asked] == [2, 6, 8, 11]
    assert "tool_choice" not in asked[0]
    assert "stop" not in asked[0]
    assert {one["function"]["name"] for one in asked[0]["tools"]} == {
        "text_search", "image_search", "look_closer", "answer",
    }  # fmt: skip
    assert "<tools>" not in asked[0]["messages"][0]["content"]
    told = asked[-1]["messages"]
    assert [one["role"] for one in told[2:]] == [
        "assistant", "tool", "tool", "user", "assistant", "tool", "assistant", "tool", "user",
    ]  # fmt: skip
    assert [json.loads(one["function"]["arguments"]) for one in told[2]["tool_calls"]] == [WINNER[1], EMBLEM[1]]
    texts = last_results(server)
    assert "[e1] Helsa: The Helsa Cup" in texts[0]
    assert "[e3] Otters: They bear a ring. \u2039/tool_response>" in texts[2]
    assert [part["type"] for part in told[5]["content"]] == ["text", "image_url", "text"]
    assert "[e2] Otters:" in told[5]["content"][0]["text"]
    assert told[10]["content"][0]["text"].strip() == "Frame 3 in high resolution:"

    plain = result.to_dict()
    assert [one["evidence"] for one in plain["instances"]] == [[2, 0], []]
    masks = segmentation_of(result, {})["masks"]
    assert {(one["instance"], *one["citations"]) for one in masks} == {(0, 2, 0), (1,)}
    coco = to_coco(result)
    assert [one["source"] for one in coco["evidence"]] == ["doc:Helsa", "img:Otters", "doc:Otters"]
    assert {(one["instance_id"], *one["evidence"]) for one in coco["annotations"]} == {(0, 2, 0), (1,)}
    verdict, sources, *_ = answer_text(result, {})
    assert "score 1.00, by source 1, 2; another ring box" in verdict
    assert re.findall(r"\((\w+:\w+)\)", sources) == ["doc:Otters", "doc:Helsa", "img:Otters"]
    objects = to_reply(result, [], all_frames=False, overlay=False).structured_content["objects"]
    assert [one["citations"] for one in objects] == [[2, 0], []]
    result.media.close()


def test_absent_is_an_answer_and_nothing_cited_changes_nothing(server, search):
    server.answers = strict(server, calls(WINNER), calls(("answer", '{"instances": []}')))
    result = agent(server, search).segment(np.stack(clip(1)), "a ghost")
    assert result.absent
    assert len(result.evidence) == 1
    server.requests.clear()
    server.answers = strict(server, said(f"```json\n{json.dumps(ANSWER[1])}\n```"))
    result = agent(server, None).segment(np.stack(clip(1)), "a ring")
    assert result.found
    assert {one["function"]["name"] for one in server.requests[0]["tools"]} == {"look_closer", "answer"}
    assert "evidence" not in to_coco(result)
    result.media.close()


async def test_an_endpoint_that_takes_no_tools_says_how_to_mend_it(server):
    for message in (PARSER_OFF, "registry/model:latest does not support tools", "Unknown parameter: 'tools'."):
        server.requests.clear()
        server.answers = [error(400, message)]
        result = await play(policy(server))
        assert result.ending is Ending.POLICY_BROKEN
        assert message in result.failure["message"]
        assert "--enable-auto-tool-choice --tool-call-parser hermes" in result.failure["remedy"]
        assert "--dialect" in result.failure["remedy"]
        assert len(server.requests) == 1
    server.answers = [error(400, "maximum context length is 4096 tokens")]
    assert "--tool-call-parser" not in (await play(policy(server))).failure["remedy"]


async def test_the_last_turn_can_only_answer(server):
    server.answers = strict(server, calls(WINNER), calls(ANSWER, finish="stop"))
    result = await play(policy(server), budget=Budget(turns=2))
    assert result.found
    first, last = server.requests
    assert "tool_choice" not in first
    assert [one["function"]["name"] for one in last["tools"]] == ["answer"]
    assert last["tool_choice"] == {"type": "function", "function": {"name": "answer"}}
    assert last["messages"][-1] == {"role": "user", "content": LAST_TURN}


async def test_an_endpoint_that_cannot_be_forced_is_asked_freely(server):
    refused = error(400, "This model does not support the specified tool_choice")
    server.answers = [refused, *strict(server, calls(ANSWER))]
    asked = policy(server)
    assert (await play(asked, budget=Budget(turns=1))).found
    assert (await play(asked, budget=Budget(turns=1))).found
    assert ["tool_choice" in one for one in server.requests] == [True, False, False]
    assert all([tool["function"]["name"] for tool in one["tools"]] == ["answer"] for one in server.requests)


async def test_fields_that_newer_models_do_not_know_are_renamed_or_left_out(server):
    def unknown(name: str, code: str = "unsupported_parameter"):
        return send({"error": {"message": f"{name}?", "type": "x", "param": name, "code": code}}, status=400)

    server.answers = [
        unknown("max_tokens"), unknown("temperature", "unsupported_value"), *strict(server, calls(ANSWER)),
    ]  # fmt: skip
    asked = policy(server)
    assert (await play(asked)).found
    assert (await play(asked)).found
    assert len(server.requests) == 4
    for request in server.requests[2:]:
        assert request["max_completion_tokens"] == Budget().turn_tokens
        assert not {"max_tokens", "temperature"} & request.keys()
        assert "seed" in request
    server.requests.clear()
    server.answers = [unknown("model"), said("never")]
    assert (await play(policy(server))).ending is Ending.POLICY_BROKEN
    assert len(server.requests) == 1


async def test_bad_calls_are_answered_each_and_mended(server, search):
    server.answers = strict(
        server,
        calls(("answer", '{"instances": [{"box": [1, 2')),
        calls(
            ("no such tool!", {"x": float("nan")}), WINNER, WINNER, ("look_closer", {"frame": 1}), content="hm <|x|>"
        ),
        calls(("look_closer", {"frame": 99})),
        calls(("answer", {"instances": [{"box": BOX, "evidence": "e1"}]}), WINNER),
        calls(ANSWER),
    )
    result = await play(policy(server), search=search)
    assert result.found
    assert result.usage.malformed == 2
    bad, unknown, won, again, look, beyond, dropped, known = last_results(server)
    assert "no JSON object" in bad
    assert '"instances"' in bad
    assert "there is no tool" in unknown
    assert "[e1] Helsa" in won
    assert "twice" in again
    assert "Not done" in look
    assert "no frame 99" in beyond
    assert "Not done" in dropped
    assert "[e1] Helsa" in known
    past = [one for one in server.requests[-1]["messages"] if one["role"] == "assistant"]
    assert [one["content"] for one in past[:2]] == [None, "hm \u2039|x|>"]
    assert past[1]["tool_calls"][0]["function"]["name"] == "no_such_tool_"


async def test_refused_searches_have_results_too(server, search):
    server.answers = strict(server, calls(WINNER), calls(BEARER), calls(ANSWER))
    assert (await play(policy(server), search=search, budget=Budget(searches=1))).found
    assert "Not run" in last_results(server)[1]
    assert server.requests[-1]["messages"][-1] == {"role": "user", "content": NO_SEARCH_LEFT}


async def test_policies_that_get_text_alone_do_the_same(search):
    script = [
        "<think> who? </think>\n"
        + search_turn("", ("text_search", "who won the Helsa Cup"), ("image_search", "Otters")),
        look_turn("It is the ring.", 3),
        answer_turn("", [Target((0.1, 0.2, 0.5, 0.6), (), (), "ring", (1, 2, 7))]),
    ]
    seen: list[list[Turn]] = []

    def read(turns):
        seen.append([*turns])
        return script[sum(turn.role == "assistant" for turn in turns)]

    result = await play(ReplayPolicy(read), search=search)
    assert result.found
    assert result.keyframe == 3
    assert [instance.evidence for instance in result.instances] == [(0, 1)]
    system, _, _, found, _, look = (turn.text for turn in seen[-1])
    assert '"name": "answer"' in system
    assert found.startswith("<tool_response>\ntext_search who won the Helsa Cup:\n<information>[e1] Helsa:")
    assert found.count("<tool_response>") == found.count("</tool_response>") == 2
    assert look == "<tool_response>\nThe picture follows.\n</tool_response>\nFrame 3 in high resolution: <image>"


async def test_a_conversation_of_text_is_taken_by_a_strict_endpoint_as_it_is(search):
    script = [
        "hm",
        search_turn("", ("text_search", "Helsa")),
        "<tool_call>{</tool_call>",
        look_turn("", 1),
        answer_turn("", []),
    ]
    result = await play(script, search=search)
    assert result.ending is Ending.ABSENT
    messages = to_tool_messages(result.conversation[:-1], result.images, PictureCache())
    assert complaint({"messages": messages}) == ""
    assert [one["role"] for one in messages].count("tool") == 2
    assert complaint({"messages": [one for one in messages if one["role"] != "tool"]})  # the oracle sees
    assert to_tool_messages([], ImageStore(), PictureCache()) == []


async def test_checkpoints_from_before_citations_are_read(search):
    result = await play([answer_turn("", [Target((0.1, 0.2, 0.5, 0.6))])])
    plain = {"label": "x", "box": [1.0, 2.0, 3.0, 4.0], "points": [], "labels": [], "score": 0.5}
    state = {"query": "q", "ending": "found", "keyframe": 0, "instances": [plain]}
    old = collect(state, replace(context([]), dialect=NATIVE))  # type: ignore[arg-type]
    assert [one.evidence for one in (*old.instances, *result.instances)] == [(), ()]


async def test_further_answers_to_compare_are_conversations_of_calls_too(server, search):
    look = calls(("look_closer", {"frame": 2}))
    server.answers = strict(server, calls(WINNER), look, calls(ANSWER), look, calls(ANSWER))
    result = await play(policy(server), search=search, clarify=Clarify(samples=1))
    assert result.found
    assert len(server.requests) == 5
    assert last_results(server)[-1] == "The picture follows."
