"""The OpenAPI document: which errors each operation answers with, what they look like, and how the key is sent."""

from typing import Any

from fastapi import FastAPI

from agent.server.guard import OPEN
from agent.server.replies import ErrorReply, Responses

_SECONDS = {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds to wait before asking again."}
_BEARER = {"schema": {"type": "string"}, "description": "Always Bearer."}

_TOLD: dict[int, tuple[str, str, str]] = {
    400: ("The request or its media cannot be used.", "invalid_request_error", "no_media"),
    401: ("The server has a key, and it is missing or wrong.", "authentication_error", "invalid_api_key"),
    403: ("The server has no key, and the request comes from elsewhere.", "permission_error", "foreign_site"),
    404: ("There is no such model or file, or no longer.", "invalid_request_error", "model_not_found"),
    408: ("The body did not arrive in time.", "invalid_request_error", "body_too_slow"),
    413: ("The body is too large.", "invalid_request_error", "body_too_large"),
    429: ("Too much is under way.", "rate_limit_error", "busy"),
    500: ("A part of the server failed.", "server_error", "segmenter"),
    502: ("The policy or the search behind the server failed.", "server_error", "policy"),
    504: ("The run took longer than the server allows.", "server_error", "run_timeout"),
}
RUN_ERRORS = (400, 404, 408, 413, 429, 500, 502, 504)
"""What an operation may answer with that runs an episode; 404 only where a model is named."""


def errors(*statuses: int) -> Responses:
    """Name the errors of one operation; what the guard answers with is added to all that it guards."""
    return {status: {"model": ErrorReply} for status in statuses}


def describe_app(app: FastAPI) -> None:
    """Make the document of `app` say what it does: no 422, as refusals are 400; the key; what the guard answers."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())
        return plain()

    app.openapi = document  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    """Change FastAPI's document, which it keeps, in place."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    scheme = {"type": "http", "scheme": "bearer", "description": "If the server has a key."}
    document["components"]["securitySchemes"] = {"key": scheme}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            told = {int(status): reply for status, reply in operation["responses"].items() if status != "422"}
            if path not in OPEN:
                operation["security"] = [{"key": []}]
                told |= {401: {}, 403: {}}
            told |= {status: _describe(status) for status in told if status in _TOLD}
            operation["responses"] = {str(status): told[status] for status in sorted(told)}


def _describe(status: int) -> dict[str, Any]:
    about, kind, code = _TOLD[status]
    content = {
        "schema": {"$ref": f"#/components/schemas/{ErrorReply.__name__}"},
        "example": {"error": {"message": f"{about} What mends it.", "type": kind, "param": None, "code": code}},
    }
    headers = {401: {"WWW-Authenticate": _BEARER}, 429: {"Retry-After": _SECONDS}}.get(status, {})
    return {"description": about, "content": {"application/json": content}, "headers": headers}
