"""What web providers answer: which faults may pass, which are for good, and what can be read."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from tools.errors import SearchError, boundary

_LATER = "Try again later."
_TOLD = 200
_Reply = TypeVar("_Reply", bound=BaseModel)


class PassingSearchError(SearchError):
    """A fault that may pass: too many requests, the provider's own error, no answer in time."""

    def __init__(self, message: str, *, remedy: str = _LATER, wait: float = 0.0) -> None:
        """Say what happened; `wait` is how many seconds the provider asks to be left alone."""
        super().__init__(message, remedy=remedy)
        self.wait = wait


@asynccontextmanager
async def asking(provider: str, seconds: float, *passing: type[Exception]) -> AsyncIterator[None]:
    """Ask a provider within `seconds`; SearchError for any fault, the passing kind if late or one of `passing`."""
    limit = asyncio.timeout(seconds)
    try:
        with boundary(SearchError, f"the search by {provider} failed", remedy=_LATER):
            async with limit:
                yield
    except SearchError as error:
        if limit.expired():
            raise PassingSearchError(f"{provider} gave no answer in {seconds:.3g} s.") from error
        if isinstance(error.__cause__, passing):
            raise PassingSearchError(error.message) from error
        raise


def check_status(provider: str, status: int, headers: Mapping[str, str], body: bytes, key: SecretStr) -> None:
    """Raise SearchError unless the status is 200; `key` is taken out of what the provider says."""
    if status == 200:
        return
    told = _told(body).replace(key.get_secret_value(), "[the key]")
    if status == 429:
        raise PassingSearchError(f"{provider} is asked too often (HTTP 429).", wait=_seconds(headers))
    if status == 408 or status >= 500:
        raise PassingSearchError(f"{provider} failed (HTTP {status}).", wait=_seconds(headers))
    if status in (401, 403):
        remedy = f"Set SEGSCOUT_{provider.upper()}_KEY to a valid key."
        raise SearchError(f"{provider} refused the key (HTTP {status}){told}.", remedy=remedy)
    remedy = f"Check the plan and the credits of your {provider} account."
    raise SearchError(f"{provider} refused the search (HTTP {status}){told}.", remedy=remedy)


def read_reply(provider: str, model: type[_Reply], body: bytes) -> _Reply:
    """Return the reply as `model`; SearchError if it is none."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        remedy = "Try again later; if it stays so, its API has changed."
        raise SearchError(f"{provider} answered with something unreadable.", remedy=remedy) from error


def _told(body: bytes) -> str:
    """Return what an error says in the words of the provider: `message` or `detail.error`, shortened."""
    try:
        error = json.loads(body)
    except ValueError:
        return ""
    for name in ("message", "detail", "error"):
        if isinstance(error, dict):
            error = error.get(name, error)
    return f": {' '.join(error.split())[:_TOLD].rstrip('.')}" if isinstance(error, str) else ""


def _seconds(headers: Mapping[str, str]) -> float:
    """Return the seconds of Retry-After, a number or a date; 0 if there is none."""
    told = headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told)
    try:
        until = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())
