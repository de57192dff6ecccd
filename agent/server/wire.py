"""JSON on the wire: in ASCII, so that no text of strangers holds what some reader takes for the end of a line."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse


def to_json(data: Mapping[str, Any]) -> bytes:
    """Return JSON on one line; half a character that some source sent is escaped like any other."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).encode("ascii")


class JSONReply(JSONResponse):
    """A response whose JSON `to_json` wrote."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return to_json(content)
