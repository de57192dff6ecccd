"""The OpenAPI document holds what the server does: generated requests never break it, and every reply conforms.

Not asked of the server is that it takes whatever fits the schema: that a message shows a readable picture somewhere is
no matter of schemas.
"""

import httpx2 as httpx
import pytest
import schemathesis
from agent_stubs import agent
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks
from server_stubs import IMAGE_SCRIPT, served

from agent.server.app import make_app
from agent.server.settings import ServerSettings

KEY = "a-key-of-sixteen-characters"
AUTH = {"Authorization": f"Bearer {KEY}"}
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.ignored_auth,
    checks.unsupported_method,
]

app = make_app(agent(IMAGE_SCRIPT[2:]), ServerSettings(key=KEY))
schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=AUTH)


@schema.parametrize()
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_are_answered_as_the_document_says(case):
    case.call_and_validate(headers=AUTH, checks=CHECKS)


def test_every_operation_says_what_it_takes_and_answers():
    document = app.openapi()
    operations = {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) == 8
    for name, operation in operations.items():
        replies = operation["responses"]
        assert "422" not in replies, name  # refusals are 400
        assert ("401" in replies) == ("security" in operation) == (name != "get /health"), name
        for status, reply in replies.items():
            if status not in ("206", "416"):
                schemas = [content["schema"] for content in reply["content"].values()]
                assert all(schemas) or "files" in name, (name, status)
            if int(status) in range(400, 600) and status != "416":
                assert schemas == [{"$ref": "#/components/schemas/ErrorReply"}], (name, status)
    chat, upload = operations["post /v1/chat/completions"], operations["post /v1/segment"]
    assert {"200", "400", "401", "403", "404", "408", "413", "429", "500", "502", "504"} == set(chat["responses"])
    assert set(chat["responses"]) - set(upload["responses"]) == {"404"}
    assert "Retry-After" in chat["responses"]["429"]["headers"]


def test_its_example_can_be_sent_as_it_stands():
    (example,) = app.openapi()["components"]["schemas"]["ChatRequest"]["examples"]
    with served(agent(IMAGE_SCRIPT[2:])) as server:
        assert server.post(example).json()["choices"][0]["message"]["segmentation"]["ending"] == "found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("DELETE", "/v1/chat/completions", "POST"), ("POST", "/health", "GET")]
)
def test_other_methods_are_refused_with_those_that_are_allowed(method, path, allowed):
    with served() as server:
        reply = httpx.request(method, f"{server.url}{path}")
    assert (reply.status_code, reply.headers["allow"]) == (405, allowed)
