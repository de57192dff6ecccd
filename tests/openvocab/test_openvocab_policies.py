"""How policies are asked: schemas at an endpoint with and without them, and the embedded policy's own form."""

import numpy as np
from chat_server import chat_server, error, said

from graphs.conversation import ImageRef, Text, Turn
from graphs.openvocab.dialects import ListingReasoning, Shown
from graphs.openvocab.questions import generic_question
from graphs.policies.base import Sampling
from graphs.policies.openai import OpenAIPolicy
from tools.image_store import ImageStore

TURNS = [Turn("user", (Text("which?"),))]


async def _ask(policy: OpenAIPolicy, schema: object) -> str:
    sampling = Sampling(schema=schema)  # type: ignore[arg-type]
    completion = await policy.complete(TURNS, ImageStore(), max_tokens=9, stop=(), sampling=sampling)
    return completion.text


async def test_an_endpoint_is_held_to_the_schema_of_a_question() -> None:
    schema = generic_question(["cat"], ["dog"], 3).schema
    with chat_server() as server:
        policy = OpenAIPolicy(server.url)
        await _ask(policy, schema)
        await _ask(policy, None)
        await policy.close()
    asked = server.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == schema
    assert asked["json_schema"]["schema"]["required"] == ["general_category", "sub_category", "attributes"]
    assert "response_format" not in server.requests[1]


async def test_an_endpoint_without_schemas_is_asked_without_from_then_on() -> None:
    with chat_server() as server:
        server.answers = [error(400, "response_format is not supported"), said("one"), said("two")]
        policy = OpenAIPolicy(server.url)
        texts = [await _ask(policy, {"type": "object"}) for _ in range(2)]
        await policy.close()
    assert texts == ["one", "two"]
    assert ["response_format" in request for request in server.requests] == [True, False, False]


def test_the_embedded_policy_is_asked_in_the_form_it_was_trained_on() -> None:
    dialect = ListingReasoning()
    shown = Shown(ImageRef("a", 224, 224), ImageRef("b", 448, 448))
    spoken = "<thinking> Left to right: plain red ring, dotted blue star. It is not there. </thinking>"
    description = dialect.read_description(spoken)
    assert dialect.read_shortlist(description) == ["plain red ring", "dotted blue star"]
    assert dialect.read_reasons(description)["dotted blue star"].attributes == ("star", "blue", "dotted")
    question = dialect.locate(shown, "plain red ring", description)
    assert [turn.role for turn in question.turns] == ["system", "user", "assistant", "user"]
    assert question.turns[2].text == (
        "<thinking> Left to right: plain red ring, dotted blue star. The target is the plain red ring, clearest in "
        "frame 0. </thinking>\n<keyframe> 0 </keyframe>"
    )
    answer = '<thinking> The plain red ring. </thinking>\n<answer> {"bbox_2d": [100, 0, 500, 250]} </answer>'
    np.testing.assert_allclose(dialect.read_boxes(answer), [(0.1, 0.0, 0.5, 0.25)])
