"""Failures on the wire: every one has OpenAI's shape, says what mends it, and carries no traceback."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from tools.errors import SegscoutError

_log = logging.getLogger(__name__)

_STATUS_OF_BOUNDARY = {"input": 400, "media": 400, "fetch": 400, "policy": 502, "search": 502}
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_HTTP_REMEDY = "See /openapi.json for what there is."
_BROKEN = "The server's log says more; try again later."
_MAX_CHARS = 600


class RequestError(SegscoutError):
    """A request is refused; `status` is the HTTP status, `param` the field at fault, `code` a word for programs."""

    boundary = "request"

    def __init__(
        self,
        message: str,
        *,
        remedy: str,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})


def status_of(error: SegscoutError) -> int:
    """Return the HTTP status that an error is answered with."""
    return error.status if isinstance(error, RequestError) else _STATUS_OF_BOUNDARY.get(error.boundary, 500)


def error_body(error: SegscoutError) -> dict[str, Any]:
    """Return an error as OpenAI spells it; of what broke on this side no more is told than which part it was."""
    status = status_of(error)
    refused = isinstance(error, RequestError)
    told = str(error) if refused or status < 500 else f"{error.boundary}: this part of the server failed. {_BROKEN}"
    return {
        "error": {
            "message": told[:_MAX_CHARS],
            "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
            "param": error.param if isinstance(error, RequestError) else None,
            "code": (error.code if isinstance(error, RequestError) else None) or error.boundary.replace(" ", "_"),
        }
    }


def error_response(error: SegscoutError) -> JSONResponse:
    """Return an error as a whole response."""
    headers = error.headers if isinstance(error, RequestError) else {}
    return JSONResponse(error_body(error), status_of(error), headers)


def log_error(error: SegscoutError) -> None:
    """Log what is not told: of a failure on this side, the whole of it."""
    if status_of(error) >= 500:
        _log.error("%s", error, exc_info=error)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every failure of `app` in OpenAI's shape."""

    @app.exception_handler(SegscoutError)
    async def ours(request: Request, error: SegscoutError) -> JSONResponse:
        log_error(error)
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def unusable(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(_read_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        told = f"{error.detail}."
        refused = RequestError(told, remedy=_HTTP_REMEDY, status=error.status_code, headers=error.headers)
        return error_response(refused)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        # Starlette raises it again once this is sent, and uvicorn logs it.
        return error_response(SegscoutError("something unforeseen happened.", remedy=_BROKEN))


def _read_validation(problems: Sequence[Mapping[str, Any]]) -> RequestError:
    """Return the first problem as an error; what was sent is not repeated, as it may be megabytes."""
    first = problems[0]
    fields = () if first["type"] == "json_invalid" else first["loc"]  # where that is, is a place in the text
    where = ".".join(str(place)[:60] for place in fields if place != "body")
    told = str(first["msg"])[:300]
    return RequestError(
        f"{where or 'the body'}: {told}.",
        remedy="See /openapi.json for what is taken.",
        param=where or None,
        code="invalid_request",
    )
