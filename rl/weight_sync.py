"""Give a running vLLM server new weights from disk, between two steps of training.

Needs the server's development routes (VLLM_SERVER_DEV_MODE=1); checked against the source of vLLM 0.25.1 and seen to
work with it.
"""

import json
from pathlib import Path

import openai

from graphs.policies.vllm_server import VLLMServer
from tools.errors import PolicyError


class ServerWeights:
    """Reload the weights of the vLLM server at `address` (http://host:8000); `timeout` is in seconds a call."""

    def __init__(self, address: str, *, api_key: str | None = None, timeout: float = 600.0) -> None:
        # Not asked twice: a reload that takes long must not be joined by another.
        self._server = VLLMServer(address, api_key=api_key, timeout=timeout, retries=0)

    async def update(self, folder: str | Path) -> None:
        """Load the weights in `folder`, a checkpoint of the served architecture that the server can read.

        Requests under way end with the old weights, later ones wait for the new; so do those that the server has put
        off in the middle of a turn for want of room, so nothing should be under way. What the old weights made of
        prompts and pictures is dropped; the pictures themselves stay with the server. Raises PolicyError.
        """
        # Paused, because a prefix cache in use is not reset, and the server does not say so.
        await self._call("/pause?mode=wait&clear_cache=false")
        try:
            path = str(Path(folder).absolute())
            await self._call("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": path}})
            await self._call("/reset_prefix_cache")
            await self._call("/reset_encoder_cache")
        finally:
            await self._call("/resume")

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._server.close()

    async def _call(self, path: str, arguments: dict[str, object] | None = None) -> None:
        async def body() -> bytes:
            return json.dumps(arguments or {}).encode()

        try:
            await self._server.ask(path, body, bytes)
        except PolicyError as error:
            if isinstance(error.__cause__, openai.NotFoundError):
                raise PolicyError(
                    f"{self._server.endpoint} has no {path.partition('?')[0]} (HTTP 404).",
                    remedy="Start the server with VLLM_SERVER_DEV_MODE=1 in its environment.",
                ) from error
            raise
