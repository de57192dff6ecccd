from collections.abc import Iterator
from pathlib import Path

import pytest
from token_server import TokenServer, token_server

from rl.weight_sync import ServerWeights
from tools.errors import PolicyError


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as running:
        yield running


async def test_weights_are_loaded_while_nobody_samples(server: TokenServer, tmp_path: Path) -> None:
    weights = ServerWeights(server.url)
    await weights.update(tmp_path)
    await weights.close()
    assert server.calls == [
        ("/pause?mode=wait&clear_cache=false", {}),
        ("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(tmp_path)}}),
        ("/reset_prefix_cache", {}),
        ("/reset_encoder_cache", {}),
        ("/resume", {}),
    ]


async def test_a_reload_that_fails_leaves_no_server_paused(server: TokenServer, tmp_path: Path) -> None:
    server.broken = "/collective_rpc"
    with pytest.raises(PolicyError, match="no such file"):
        await ServerWeights(f"tokens+{server.url}").update(tmp_path)
    assert [path for path, _ in server.calls] == ["/pause?mode=wait&clear_cache=false", "/collective_rpc", "/resume"]


async def test_a_server_without_development_routes(server: TokenServer, tmp_path: Path) -> None:
    server.dev = False
    with pytest.raises(PolicyError, match=r"/pause.*VLLM_SERVER_DEV_MODE=1"):
        await ServerWeights(server.url).update(tmp_path)
