"""Connections to checked addresses only: a name is resolved once, judged, and dialled by what was judged."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore2 as httpcore

from tools.errors import FetchError
from tools.web.addresses import is_public
from tools.web.urls import is_address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolve a host name and a port to addresses; OSError if there are none."""

_CONNECT_SECONDS = 4.0
_MOST_ADDRESSES = 4


async def system_resolve(host: str, port: int) -> list[str]:
    """Resolve `host` as the system does, in its order; OSError if it has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The only way out: every connection of a fetcher is opened here, whatever asked for it.

    TLS is spoken above this, to the host's name, so a certificate must be the name's and not the address's. There is
    no second look-up that could answer differently, and no way to a Unix socket.
    """

    def __init__(self, resolve: Resolve, dial: httpcore.AsyncNetworkBackend) -> None:
        """Resolve names by `resolve` and open connections by `dial`, which is given plain addresses only."""
        self._resolve = resolve
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of `host` that answers; FetchError unless all of them are public."""
        *others, last = await self._public_addresses(host, port)
        for address in others:
            try:
                return await self._dial.connect_tcp(address, port, timeout=_CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._dial.connect_tcp(last, port, timeout=_CONNECT_SECONDS)

    async def _public_addresses(self, host: str, port: int) -> Sequence[str]:
        addresses = [host] if is_address(host) else await self._resolve(host, port)
        if not addresses:
            raise FetchError(f"{host} has no address.", remedy="Check the name.")
        if not all(map(is_public, addresses)):
            raise FetchError(f"{host} is not on the public internet.", remedy="Only public servers are asked.")
        return addresses[:_MOST_ADDRESSES]
