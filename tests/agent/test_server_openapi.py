"""The OpenAPI document holds what the server does: generated requests never break it, and every reply conforms."""

from copy import deepcopy

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
]

app = make_app(agent(IMAGE_SCRIPT[2:]), ServerSettings(key=KEY))
schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers=AUTH)


@schema.parametrize()
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_are_answered_as_the_document_says(case):
    case.call_and_validate(headers=AUTH, checks=CHECKS)
