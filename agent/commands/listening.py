"""Where `segscout serve` listens and who may ask: settled before anything is loaded, so that a slip is told at once."""

import socket
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from agent.server.hosts import is_loopback
from tools.errors import InputError, boundary
from tools.settings import read_settings

_NEEDED = ("fastapi", "python_multipart", "uvicorn")
_KEY = "Set SEGSCOUT_SERVER_KEY or give --api-key-file"
_LEAST_KEY_CHARS = 16


@dataclass(frozen=True)
class Listening:
    """A socket that clients can already reach, its address, and the key that they must send."""

    sock: socket.socket
    address: str
    key: str | None = field(repr=False)


def listen(host: str, port: int, key_file: Path | None) -> Listening:
    """Open the socket; InputError if it cannot be had, if a part is not installed, or if it would be open to all."""
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        told = f"the server needs {', '.join(missing)}."
        raise InputError(told, remedy="Install the extra: pip install --editable '.[serve]'.")
    key = read_key(key_file)
    if key is None and not is_loopback(host):
        told = f"without a key, {host} would be open to everyone who can reach it."
        raise InputError(told, remedy=f"{_KEY}, or listen on 127.0.0.1.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with boundary(InputError, f"cannot listen on {host} at port {port}", remedy="Choose another --host or --port."):
        sock = socket.create_server((host, port), family=family)
    shown = f"[{host}]" if ":" in host else host
    return Listening(sock, f"http://{shown}:{sock.getsockname()[1]}", key)


def read_key(file: Path | None) -> str | None:
    """Return the key from the file, else from the settings, None if there is none; InputError if it is unusable."""
    if file is None:
        key = read_settings().server_secret()
    else:
        with boundary(InputError, f"the key in {file} cannot be read", remedy="Check the path and its permissions."):
            key = file.read_text(encoding="utf-8").strip()
    if key is not None and (len(key) < _LEAST_KEY_CHARS or not key.isascii() or any(char.isspace() for char in key)):
        told = f"the server's key must be {_LEAST_KEY_CHARS} or more plain characters without spaces."
        raise InputError(told, remedy="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe())'")
    return key
