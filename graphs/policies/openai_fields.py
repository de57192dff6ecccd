"""What of a request an endpoint does not know for its model: newer hosted ones rename some fields and refuse others."""

from collections.abc import Collection, Mapping
from typing import Any

import openai

_UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
_NEWER_NAMES = {"max_tokens": "max_completion_tokens"}
_SPARED = frozenset({"temperature", "top_p", "seed", "stop"})
"""What a request can do without."""


def refused_field(error: Exception) -> str:
    """Return the field of a request that the endpoint does not know for this model, and that it can do without."""
    if not isinstance(error, openai.BadRequestError) or error.code not in _UNSUPPORTED:
        return ""
    return error.param if error.param in _NEWER_NAMES or error.param in _SPARED else ""


def without_fields(request: Mapping[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """Return a request without fields that were refused, or with them under their newer names."""
    names = {name: _NEWER_NAMES.get(name, "") if name in refused else name for name in request}
    return {names[name]: value for name, value in request.items() if names[name]}
