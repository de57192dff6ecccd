"""Fields that OpenAI's protocol has and the agent makes no use of: passed over with a word, or refused by name."""

import pytest
from server_stubs import body, chunks, image, served, user

SAMPLING = {
    "temperature": 0.3,
    "top_p": 0.5,
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "seed": 7,
    "stop": ["\n"],
    "presence_penalty": 1.0,
    "frequency_penalty": -1,
}


@pytest.fixture(scope="module")
def server():
    with served() as running:
        yield running


def test_what_steers_sampling_is_passed_over_and_told(server):
    reply = server.post(body(**SAMPLING)).json()
    assert {warning.split(" ")[0] for warning in reply["warnings"]} == set(SAMPLING)
    assert all("is ignored: the server's owner has chosen" in warning for warning in reply["warnings"])
    assert reply["choices"][0]["message"]["segmentation"]["ending"] == "found"  # five tokens would not have done
    first, *others = chunks(server.post(body(stream=True, **SAMPLING)))
    assert len(first["warnings"]) == len(SAMPLING)
    assert not any("warnings" in chunk for chunk in others)


def test_official_clients_show_the_warnings(server):
    reply = server.client().chat.completions.create(**body(temperature=0))
    assert reply.model_extra["warnings"] == [
        "temperature is ignored: the server's owner has chosen how the policy samples."
    ]


def test_unknown_fields_are_named_but_not_all_of_many(server):
    assert server.post(body(logit_bias={"1": 2}, user="me")).json()["warnings"] == [
        "logit_bias is ignored: it means nothing here.",
        "user is ignored: it means nothing here.",
    ]
    many = server.post(body(**{f"{'x' * 500}{number}": 1 for number in range(200)})).json()["warnings"]
    assert len(many) == 21
    assert many[-1] == "180 more fields are ignored."
    assert len("".join(many)) < 3_000


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_to_the_model_are_passed_over_and_told(server, role):
    told = server.post(body({"role": role, "content": "Answer in French."}, user("the red square", image()))).json()
    assert told["warnings"] == ["the system message is ignored: the policy has a prompt of its own."]


def test_what_asks_nothing_is_not_told(server):
    assert "warnings" not in server.post(body(temperature=None, n=1, tools=[], stream=False, strange=None)).json()
    assert "warnings" not in chunks(server.post(body(stream=True)))[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("temperature", -1),
        ("temperature", 2.1),
        ("top_p", 1.5),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_completion_tokens", "many"),
        ("seed", "seven"),
        ("stop", 3),
        ("stop", [3]),
        ("presence_penalty", 9),
        ("n", "1"),
        ("n", 2),
        ("tools", {}),
        ("tools", [{"type": "function"}]),
        ("stream", "true"),
    ],
)
def test_what_openai_would_refuse_is_refused_by_name(server, field, value):
    reply = server.post(body(**{field: value}))
    assert (reply.status_code, reply.json()["error"]["param"].split(".")[0]) == (400, field)
